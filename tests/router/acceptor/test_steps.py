"""What a log at level debug tells of a stream's beginning: names, never octets or keys."""

import pytest
import structlog
from structlog.testing import capture_logs

from router.acceptor import steps
from router.acceptor.connection import Connection
from router.acceptor.tls import TlsSession
from router.xmpp.errors import StanzaError
from router.xmpp.events import KeyAnswered, KeyReceived, PairAuthorised, PairRefused
from router.xmpp.initiating import InitiatingStream
from router.xmpp.receiving import ReceivingStream
from router.xmpp.states import Phase
from tests.support.acceptors import Hub, connection_of
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    Proves,
    header,
    ids,
    inbound,
    outbound,
    policy,
)

EXTERNAL = (
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    "</mechanisms>"
)
BIDI_FEATURE = "<bidi xmlns='urn:xmpp:features:bidi'/>"


@pytest.fixture(autouse=True)
def all_levels() -> None:
    """Whatever level another test in this process has chosen."""
    structlog.reset_defaults()


async def test_what_a_peer_that_connects_is_offered() -> None:
    core = inbound(policy(MONTAGUE), Proves(CAPULET))
    with capture_logs() as logged:
        steps.log_phase(connection_of(core), Phase.SECURE_HEADER)
    (line,) = logged
    assert line["event"] == "stream.phase"
    assert (line["local"], line["remote"]) == (MONTAGUE, CAPULET)
    assert (line["before"], line["phase"]) == (Phase.SECURE_HEADER.value, Phase.SECURE.value)
    assert line["offers"] == ["external", "bidi"]
    assert "certificate" in line


async def test_which_proof_is_tried_toward_a_peer() -> None:
    core = outbound(policy(MONTAGUE), Proves(CAPULET), EXTERNAL, BIDI_FEATURE)
    with capture_logs() as logged:
        steps.log_phase(connection_of(core, direction="out"), Phase.SECURE_FEATURES)
    (line,) = logged
    assert (line["phase"], line["bidi"]) == (Phase.SASL.value, True)
    assert (line["offers"], line["external"]) == (["external", "bidi"], "asked")


async def test_a_key_is_never_in_a_line() -> None:
    connection = connection_of(inbound())
    key = KeyReceived(PAIR.inverse(), "id1", "0123456789abcdef")
    with capture_logs() as logged:
        for event in (
            key,
            KeyAnswered(PAIR, "id1", "valid"),
            PairRefused(PAIR, StanzaError.of("remote-server-timeout"), "invalid"),
            PairAuthorised(PAIR, True, "dialback"),
        ):
            steps.log_proof(connection, event)
    assert [line["event"] for line in logged] == [
        "dialback.key_received",
        "dialback.key_answered",
        "s2s.refused",
        "s2s.granted",
    ]
    assert {(line["local"], line["remote"]) for line in logged} == {(MONTAGUE, CAPULET)}
    assert key.key not in str(logged)
    assert key.key not in repr(key)


async def test_a_connection_and_its_tls() -> None:
    connection = connection_of(ReceivingStream(policy(MONTAGUE), ids(), NOW))
    connection.address = "192.0.2.1:4000"
    with capture_logs() as logged:
        steps.log_opened(connection)
        steps.log_tls(connection, TlsSession("TLSv1.3", "AES", "", MONTAGUE, ()), "")
    assert [line["event"] for line in logged] == ["stream.opened", "tls.established"]
    assert logged[0]["address"] == "192.0.2.1:4000"
    assert (logged[1]["version"], logged[1]["server_name"]) == ("TLSv1.3", MONTAGUE)


async def test_a_connection_tells_its_hub_of_each_new_phase() -> None:
    class Listening(Hub):
        def moved(self, connection: Connection, before: Phase) -> None:
            self._hear("moved", (before, connection.core.phase))

    hub = Listening()
    connection = connection_of(
        InitiatingStream(policy(MONTAGUE), ids(), PAIR, NOW), hub, direction="out"
    )
    connection.act(connection.core.receive_bytes(header().encode(), NOW))
    connection.act([])
    assert [value for name, value in hub.heard if name == "moved"] == [
        (Phase.PLAIN_HEADER, Phase.PLAIN_FEATURES)
    ]
