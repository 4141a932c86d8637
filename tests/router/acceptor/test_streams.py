"""The rows an operator sees: plain values, whatever state a stream is in."""

import asyncio
import json

import pytest

from router.acceptor.streams import SERVICE_LEG, carries, names, rows, rows_for_pair
from router.acceptor.tls import TlsSession
from router.xmpp.component import ComponentStream
from router.xmpp.e2e import InitiatorStream
from router.xmpp.e2e_ends import Ends
from router.xmpp.events import KeyReceived
from router.xmpp.pair import DomainPair
from router.xmpp.receiving import ReceivingStream
from tests.support.acceptors import connection_of
from tests.support.pump import CAPULET, MONTAGUE, NOW, authenticated, ids, inbound, policy, say

SETTINGS = policy(MONTAGUE)


async def test_an_authenticated_stream_shows_its_ends_its_proof_and_its_pairs() -> None:
    connection = connection_of(authenticated(bidi=True), number=7)
    connection.session = TlsSession("TLSv1.3", "", "", "", ())
    connection.address = "192.0.2.1:40000"
    connection.stanzas_in, connection.stanzas_out = 3, 4
    (row,) = rows([connection], "a0.1", connection.opened_at + 1.23456)
    assert row == {
        "acceptor": "a0.1",
        "number": 7,
        "direction": "in",
        "leg": "s2s",
        "local": MONTAGUE,
        "remote": CAPULET,
        "state": "open",
        "auth": "external",
        "bidi": True,
        "pairs": [f"{CAPULET} to {MONTAGUE}", f"{MONTAGUE} to {CAPULET}"],
        "tls": "TLSv1.3",
        "address": "192.0.2.1:40000",
        "stanzas_in": 3,
        "stanzas_out": 4,
        "age_s": 1.235,
    }


async def test_a_component_is_its_domain() -> None:
    core = ComponentStream(SETTINGS, ids(), {MONTAGUE: "s3cr3t"}, NOW)
    say(core, f"<stream:stream xmlns='jabber:component:accept' to='{MONTAGUE}'"
        " xmlns:stream='http://etherx.jabber.org/streams'>")  # fmt: skip
    (row,) = rows([connection_of(core, leg="component")], "a0.1", 0.0)
    assert (row["leg"], row["local"], row["remote"]) == ("component", MONTAGUE, "")
    assert (row["auth"], row["tls"], row["pairs"]) == ("none", "", [])


async def test_rows_are_in_order_and_fit_for_json() -> None:
    connections = [
        connection_of(ReceivingStream(SETTINGS, ids(), NOW), number=number) for number in (2, 1)
    ]
    found = rows(connections, "a0.1", asyncio.get_running_loop().time())
    assert [row["number"] for row in json.loads(json.dumps(found))] == [2, 1]
    assert rows([], "a0.1", 0.0) == []


async def test_a_stream_that_dialback_proved_is_open() -> None:
    core = inbound(SETTINGS)
    (asked,), _ = say(core, f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>")
    assert isinstance(asked, KeyReceived)
    before = rows([connection_of(core)], "a0.1", 0.0)[0]["state"]
    core.answer_key(asked.pair, asked.stream_id, "valid", NOW)
    (row,) = rows([connection_of(core)], "a0.1", 0.0)
    assert (before, row["state"], row["auth"]) == ("negotiating inside TLS", "open", "dialback")
    core.close(NOW)
    assert rows([connection_of(core)], "a0.1", 0.0)[0]["state"] == "closing"


@pytest.mark.clause("DNA-01")
async def test_what_a_stream_is_for_one_pair() -> None:
    proved = connection_of(authenticated(bidi=True), number=1)
    proved.session = TlsSession("TLSv1.3", "", "", "", ())
    begun = connection_of(inbound(SETTINGS), number=2)
    other = connection_of(inbound(SETTINGS, sender="tybalt.example"), number=3)
    component = connection_of(ComponentStream(SETTINGS, ids(), {MONTAGUE: "s"}, NOW), number=4)
    connections = [proved, begun, other, component]
    first, second = rows_for_pair(connections, "a0.1", 0.0, DomainPair(MONTAGUE, CAPULET))
    assert (first["number"], first["sends"], first["receives"]) == (1, "external", "external")
    assert (first["certificate_valid"], first["certificate"]) == (True, "")
    assert (second["number"], second["sends"], second["receives"]) == (2, None, None)
    assert second["certificate"] is None
    assert "pairs" not in first
    assert rows_for_pair(connections, "a0.1", 0.0, DomainPair(CAPULET, MONTAGUE)) == []


async def test_the_routers_own_address_is_no_stream_to_show() -> None:
    core = ComponentStream(SETTINGS, ids(), {MONTAGUE: "s"}, NOW)
    assert rows([connection_of(core, leg=SERVICE_LEG)], "a0.1", 0.0) == []


async def test_an_express_lane_is_between_two_routers_and_carries_the_pair() -> None:
    pair = DomainPair(MONTAGUE, CAPULET)
    ends = Ends("relay.montague.example", "relay.capulet.example", frozenset({pair}))
    core = InitiatorStream(SETTINGS, ids(), ends, NOW)
    core.grants.send[pair] = core.grants.receive[pair.inverse()] = "e2e"
    connection = connection_of(core, leg="e2e")
    assert carries(connection, pair)
    (row,) = rows([connection], "a0.1", 0.0)
    assert (row["local"], row["remote"]) == (ends.local, ends.peer)
    assert row["pairs"] == sorted((str(pair), str(pair.inverse())))
    assert names(connection)["remote"] == ends.peer
    (found,) = rows_for_pair([connection], "a0.1", 0.0, pair)
    assert (found["sends"], found["receives"]) == ("e2e", "e2e")
