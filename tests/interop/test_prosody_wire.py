"""What a real Prosody gets to see of us, by its own log; numbered as in the notes on peers."""

import re
import socket
from pathlib import Path

import pytest

from bench.authority import Authority
from bench.peers.prosody import HOST, Prosody
from tests.support.federation import Federate, greet, route
from tests.support.nodes import CAPULET, MONTAGUE, at_rest
from tests.support.scripted_peer import message

BIG = 200_000  # far over the 10,000 octets that Debian's Prosody takes before authentication


def received(server: Prosody, what: str) -> list[tuple[str, str]]:
    """(session type, start tag) of each element of that name that came in on an s2s stream."""
    return re.findall(rf"Received\[(s2s\w+)\]: (<{what}\b[^>]*>)", server.log())


@pytest.mark.scenario(6, 2)
@pytest.mark.clause("DBK-09", "BIDI-18", "BIDI-14")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_6_keys_are_asked_about_on_our_own_streams(
    federate: Federate, tmp_path: Path, dialled_by: str
) -> None:
    """Prosody would not answer a db:verify on a stream it opened, and a db:result would end it."""
    trust = {"trust_anchors": Authority.make(tmp_path).anchors}
    both = await federate(
        prosody={"s2s_secure_auth": False, "log_level": "debug", **trust}, **trust
    )
    await greet(*both.parties(dialled_by))
    asked = [kind for kind, tag in received(both.server, "verify") if "type=" not in tag]
    assert asked != []
    assert {kind for kind in asked if kind.startswith("s2sout")} == set()
    offered = [kind for kind, tag in received(both.server, "result") if "type=" not in tag]
    assert offered != []
    assert {kind for kind in offered if kind.startswith("s2sout")} == set()
    await at_rest(both.node)


@pytest.mark.scenario(8, 9, 10)
@pytest.mark.clause("BIDI-02", "BIDI-03")
@pytest.mark.parametrize("mechanism", ["external", "dialback"])
async def test_8_to_10_bidi_is_requested_once_in_time_and_in_its_namespace(
    federate: Federate, tmp_path: Path, mechanism: str
) -> None:
    trust = {} if mechanism == "external" else {"trust_anchors": Authority.make(tmp_path).anchors}
    both = await federate(
        prosody={"s2s_secure_auth": False, "log_level": "debug", **trust}, **trust
    )
    await greet(both.romeo, both.juliet)
    [(kind, tag)] = received(both.server, "bidi")
    assert kind == "s2sin_unauthed"
    assert "'urn:xmpp:bidi'" in tag
    await greet(both.juliet, both.romeo)
    assert len(received(both.server, "bidi")) == 1


@pytest.mark.scenario(11)
@pytest.mark.clause("RTE-10")
async def test_11_prosody_waits_for_a_connection_of_its_own(federate: Federate) -> None:
    """What it queued there comes back from Prosody itself; our bidi stream neither helps nor ends.

    The node's listener is out of its reach here: it connects to one that never says a word.
    """
    with socket.create_server((HOST, 0)) as deaf:
        both = await federate(
            prosody={
                "routes": {MONTAGUE: (HOST, deaf.getsockname()[1])},
                "options": {"s2s_timeout": 3},
            }
        )
        both.juliet.write(message(f"juliet@{CAPULET}", f"romeo@{MONTAGUE}", "before"))
        await both.romeo.send_numbered([route(both.romeo, both.juliet)], 1, 0)
        await both.juliet.until(lambda: both.juliet.arrived == 1)
        after = message(f"juliet@{CAPULET}", f"romeo@{MONTAGUE}", "after")
        await both.juliet.ask(after, lambda got: got.attributes["id"] == "after")
        came = [(got.attributes["id"], got.inside[1]) for got in both.juliet.others]
        assert came == [(name, "remote-server-not-found") for name in ("before", "after")]
        assert await both.streams() == [("out", "external", True)]
        await both.romeo.send_numbered([route(both.romeo, both.juliet)], 1, 0)
        await both.juliet.until(lambda: both.juliet.arrived == 2)


@pytest.mark.scenario(16)
@pytest.mark.clause("BIDI-08")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_16_what_is_large_waits_for_the_proof(federate: Federate, dialled_by: str) -> None:
    both = await federate(prosody={"log_level": "debug"})
    sender, target = both.parties(dialled_by)
    here, there = f"a@{sender.domain}", f"b@{target.domain}"
    large = f"<message from='{here}' to='{there}' id='n0'><body>{'x' * BIG}</body></message>"
    await sender.send(large)
    await target.until(lambda: target.arrived == 1)
    await greet(target, sender)
    assert "policy-violation" not in both.server.log()
    await at_rest(both.node)
