"""What the history gets of streams, and the alarm when a peer's proof gets weaker."""

import pytest
import structlog

from router.acceptor import history
from router.acceptor.connection import Connection
from router.acceptor.history import History
from router.acceptor.tls import TlsSession
from router.acceptor.witness import Witness
from router.config import Config
from router.metrics import Counters
from router.peer_memory import Fact, PeerMemory
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.component import ComponentStream
from router.xmpp.errors import StanzaError
from router.xmpp.events import KeyReceived, PairAuthorised, PairRefused, StreamClosed
from router.xmpp.pair import DomainPair
from router.xmpp.receiving import ReceivingStream
from router.xmpp.xmlstream import XmlStream
from tests.support.acceptors import connection_of, counted
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    Proves,
    authenticated,
    ids,
    inbound,
    outbound,
    policy,
)

VERONA = "verona.example"
INWARD = PAIR.inverse()
SESSION = TlsSession("TLSv1.3", "", "", "", ())


class Seen:
    """A witness, and what it noted."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.counters = Counters()
        self.history = History(lambda: self.now)
        self.memory = PeerMemory(Config(), lambda: self.now, lambda _: None)
        self.witness = Witness(self.history, self.memory, self.counters)
        self._number = 0

    def connection(self, core: XmlStream, direction: str = "in", tls: bool = True) -> Connection:
        self._number += 1
        connection = connection_of(core, number=self._number, direction=direction)
        connection.session = SESSION if tls else None
        connection.address = "192.0.2.1:40000"
        return connection

    def notes(self, remote: str = CAPULET, local: str = MONTAGUE) -> list[dict[str, object]]:
        return self.history.rows(local, remote)

    def whats(self, remote: str = CAPULET, local: str = MONTAGUE) -> list[object]:
        return [note["what"] for note in self.notes(remote, local)]

    def proves(
        self, mechanism: str, certificate: Evidence = NO_CERTIFICATE, pair: DomainPair = INWARD
    ) -> None:
        """The peer connects and proves the pair, on a stream of its own."""
        core = inbound(policy(MONTAGUE), certificate)
        connection = self.connection(core)
        core.grants.receive[pair] = mechanism
        self.witness.authorised(connection, PairAuthorised(pair, False, mechanism))

    def alarms(self) -> float:
        return counted(self.counters, "causeway_peer_downgrades_total")


@pytest.fixture
async def seen() -> Seen:
    return Seen()


async def test_tls_and_the_certificate_where_we_dialled(seen: Seen) -> None:
    connection = seen.connection(outbound(), "out")
    seen.witness.tls_done(connection, SESSION, Proves("other.example"), "")
    tls, certificate = seen.notes()
    assert (tls["what"], tls["version"], tls["stream"], tls["direction"], tls["address"]) == (
        "tls",
        "TLSv1.3",
        1,
        "out",
        "192.0.2.1:40000",
    )
    assert (certificate["valid"], certificate["reason"]) == (False, "another name")


async def test_tls_that_failed(seen: Seen) -> None:
    connection = seen.connection(outbound(), "out", tls=False)
    seen.witness.tls_done(connection, None, NO_CERTIFICATE, "no shared cipher")
    (note,) = seen.notes()
    assert (note["what"], note["failed"]) == ("tls", "no shared cipher")


async def test_who_calls_is_not_known_before_its_header_nor_judged_before_tls(seen: Seen) -> None:
    core = ReceivingStream(policy(MONTAGUE), ids(), NOW, direct_tls=True)
    seen.witness.tls_done(seen.connection(core), SESSION, NO_CERTIFICATE, "")
    component = ComponentStream(policy(MONTAGUE), ids(), {MONTAGUE: "s3cr3t"}, NOW)
    seen.witness.tls_done(seen.connection(component), SESSION, NO_CERTIFICATE, "")
    seen.witness.closed(seen.connection(component), StreamClosed(None, True))
    assert seen.notes() == seen.notes("") == []


async def test_proofs_each_way_with_one_verdict_on_the_certificate(seen: Seen) -> None:
    core = authenticated(bidi=True)
    connection = seen.connection(core)
    for may_send, pair in ((False, INWARD), (True, PAIR)):
        seen.witness.authorised(connection, PairAuthorised(pair, may_send, "external"))
    assert seen.whats() == ["certificate", "authorised", "authorised"]
    _, receive, send = seen.notes()
    assert (receive["may"], receive["mechanism"], receive["bidi"]) == ("receive", "external", True)
    assert send["may"] == "send"


async def test_refusals_and_keys(seen: Seen) -> None:
    connection = seen.connection(inbound())
    seen.witness.key_received(connection, KeyReceived(INWARD, "id", "0123"))
    seen.witness.key_judged(connection, INWARD, "invalid")
    refusal = PairRefused(PAIR, StanzaError.of("remote-server-timeout", "no"), "invalid")
    seen.witness.refused(connection, refusal)
    assert seen.whats() == ["certificate", "key", "verified", "refused"]
    certificate, _, verified, refused = seen.notes()
    assert certificate["reason"] == "no certificate"
    assert verified["verdict"] == "invalid"
    assert (refused["condition"], refused["text"], refused["answer"]) == (
        "remote-server-timeout",
        "no",
        "invalid",
    )
    assert "0123" not in str(seen.notes())


async def test_the_end_of_a_stream_says_what_was_on_offer_if_it_led_nowhere(seen: Seen) -> None:
    core = outbound(policy(MONTAGUE), NO_CERTIFICATE, "<bidi xmlns='urn:xmpp:features:bidi'/>")
    connection = seen.connection(core, "out")
    seen.witness.closed(connection, StreamClosed("not-authorized", True, "go away"))
    assert seen.whats() == ["certificate", "features", "closed"]
    _, features, closed = seen.notes()
    assert features["offers"] == "bidi"
    assert (closed["condition"], closed["by_peer"], closed["text"], closed["proved"]) == (
        "not-authorized",
        True,
        "go away",
        False,
    )


async def test_the_end_of_a_stream_is_noted_for_each_of_its_pairs_within_bounds(
    seen: Seen,
) -> None:
    core = authenticated()
    others = [DomainPair(f"d{n}.example", MONTAGUE) for n in range(50)]
    core.grants.receive.update(dict.fromkeys(others, "dialback"))
    seen.witness.closed(seen.connection(core), StreamClosed(None, True, abrupt=True))
    (closed,) = seen.notes()
    assert (closed["condition"], closed["proved"]) == ("lost", True)
    noted = [pair for pair in others if seen.notes(pair.sender)]
    assert noted == others[:31]


# --- the alarm ---


async def test_dialback_after_a_certificate_is_an_alarm(seen: Seen) -> None:
    seen.proves("external", Proves(CAPULET))
    with structlog.testing.capture_logs() as logs:
        seen.proves("dialback")
    (log,) = [entry for entry in logs if entry["event"] == "peer.downgraded"]
    assert log["log_level"] == "warning"
    assert (log["local"], log["remote"]) == (MONTAGUE, CAPULET)
    assert (log["before"], log["now"]) == ("external", "dialback")
    assert seen.alarms() == 1
    assert "downgraded" in seen.whats()


async def test_it_sounds_once_for_each_change(seen: Seen) -> None:
    weak, strong = "dialback", "external"
    for mechanism in (weak, strong, strong, weak, weak, strong, weak):
        seen.proves(mechanism, Proves(CAPULET) if mechanism == "external" else NO_CERTIFICATE)
    assert seen.alarms() == 2


async def test_not_for_another_domain_nor_after_a_long_time(seen: Seen) -> None:
    seen.proves("external", Proves(CAPULET))
    seen.proves("dialback", pair=DomainPair("tybalt.example", MONTAGUE))
    seen.now += 31 * 86_400
    seen.proves("dialback")
    assert seen.alarms() == 0


async def test_not_beside_a_certificate_that_proves_the_domain(seen: Seen) -> None:
    """XEP-0344, and further pairs of a stream on which EXTERNAL has proved the domain."""
    seen.proves("external", Proves(CAPULET))
    seen.proves("dialback", Proves(CAPULET))
    core = authenticated(policy(MONTAGUE, VERONA))
    core.evidence = NO_CERTIFICATE
    second = DomainPair(CAPULET, VERONA)
    core.grants.receive[second] = "dialback"
    seen.witness.authorised(seen.connection(core), PairAuthorised(second, False, "dialback"))
    assert seen.alarms() == 0
    assert seen.memory.recall(CAPULET, Fact.PROOF) == "external"


async def test_what_peers_prove_where_we_dialled_is_another_matter(seen: Seen) -> None:
    seen.proves("external", Proves(CAPULET))
    connection = seen.connection(outbound(), "out")
    seen.witness.authorised(connection, PairAuthorised(INWARD, False, "dialback"))
    assert seen.alarms() == 0
    assert seen.memory.recall(CAPULET, Fact.PROOF) == "external"


async def test_who_has_proved_nothing_is_noted_apart(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_PAIRS", 1)
    seen.witness.closed(seen.connection(authenticated()), StreamClosed(None, True))
    for _ in range(2):
        connection = seen.connection(inbound(sender="stranger.example"))
        seen.witness.closed(connection, StreamClosed(None, True))
    seen.witness.closed(seen.connection(inbound()), StreamClosed("reset", True))
    assert not seen.notes("stranger.example")
    assert [note.get("condition") for note in seen.notes() if note["what"] == "closed"] == [
        "",
        "reset",
    ]


async def test_claims_that_are_refused_are_counted_by_leg(seen: Seen) -> None:
    for leg in ("s2s", "server"):
        connection = seen.connection(inbound())
        connection.leg = leg
        seen.witness.claim_refused(connection, DomainPair(VERONA, MONTAGUE))
        seen.witness.key_judged(connection, INWARD, "invalid")
        seen.witness.key_judged(connection, INWARD, "remote-server-timeout")
        assert counted(seen.counters, "causeway_claims_refused_total", leg) == 2
