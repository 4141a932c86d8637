"""What streams report, put into the history of their domain pairs and counted; downgrade alarm.

Nothing is decided here. Called by the acceptor, which tells what happened; what comes
before there is a stream (DNS, connecting, waiting) is the dialer's to note.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import structlog

from router.acceptor.connection import Connection
from router.acceptor.history import Detail, History, What
from router.acceptor.tls import TlsSession
from router.metrics import Counters
from router.peer_memory import Fact, PeerMemory
from router.xmpp import events
from router.xmpp.certificate import Evidence
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream

log = structlog.get_logger()

_NOTED_PAIRS: Final = 32
"""Of a stream that ends, at most so many pairs are noted: it may carry hundreds."""
_NOTED_DOMAINS: Final = 16
"""For at most so many domains of a stream the verdict on the certificate is noted."""


class Witness:
    """Of one acceptor. What it learns of how peers prove themselves is all it does beyond notes."""

    def __init__(self, history: History, memory: PeerMemory, counters: Counters) -> None:
        self._history = history
        self._memory = memory
        self._counters = counters
        self._judged: dict[int, set[str]] = {}

    def tls_done(
        self, connection: Connection, session: TlsSession | None, evidence: Evidence, reason: str
    ) -> None:
        """A handshake ended; with whom is known where we dial, and after a header in plain text."""
        core = connection.core
        role = "client" if connection.direction == "out" else "server"
        version, result = (session.version, "ok") if session is not None else ("none", "failed")
        self._counters.add("causeway_tls_handshakes_total", role, version, result)
        if not isinstance(core, ServerStream):
            return
        pair = DomainPair(core.local, core.remote)
        if session is None:
            self._note(connection, pair, "tls", failed=reason or "no reason")
            return
        self._note(connection, pair, "tls", version=session.version)
        if isinstance(core, InitiatingStream):
            self._certificate(connection, pair, evidence)

    def authorised(self, connection: Connection, event: events.PairAuthorised) -> None:
        """A proof was taken, in one direction."""
        core = connection.core
        assert isinstance(core, ServerStream)
        pair = event.pair if event.may_send else event.pair.inverse()
        if not event.may_send:
            self._certificate(connection, pair, core.evidence)
            if connection.direction == "in":
                self._peer_connected(connection, pair, event.mechanism)
        self._note(
            connection,
            pair,
            "authorised",
            may="send" if event.may_send else "receive",
            mechanism=event.mechanism,
            bidi=core.is_bidi,
        )

    def refused(self, connection: Connection, event: events.PairRefused) -> None:
        """The peer did not take our proof."""
        self._note(
            connection,
            event.pair,
            "refused",
            condition=event.error.condition,
            text=event.error.text,
            answer=event.answer,
        )

    def key_received(self, connection: Connection, event: events.KeyReceived) -> None:
        """The peer wants to be proved by dialback."""
        core = connection.core
        assert isinstance(core, ServerStream)
        pair = event.pair.inverse()
        self._certificate(connection, pair, core.evidence)
        self._note(connection, pair, "key")

    def key_judged(self, connection: Connection, pair: DomainPair, verdict: str) -> None:
        """Its authoritative server has spoken on the key, or did not."""
        self._note(connection, pair.inverse(), "verified", verdict=verdict)
        if verdict == "invalid":
            self._counters.add("causeway_claims_refused_total", connection.leg)
        if verdict != "valid":
            log.warning("dialback.key_refused", local=pair.target, remote=pair.sender, why=verdict)

    def claim_refused(self, connection: Connection, pair: DomainPair) -> None:
        """A peer claimed a domain that no peer can be at its end of the stream."""
        self._counters.add("causeway_claims_refused_total", connection.leg)
        log.warning(
            "claim.refused",
            local=pair.target,
            remote=pair.sender,
            leg=connection.leg,
            address=connection.address,
        )

    def closed(self, connection: Connection, event: events.StreamClosed) -> None:
        """The stream is over."""
        core = connection.core
        if not isinstance(core, ServerStream):
            return
        condition = event.condition or ("lost" if event.abrupt else "none")
        self._counters.add("causeway_s2s_closed_total", connection.direction, condition)
        proved = core.grants.proved()
        for pair in islice(_pairs(core), _NOTED_PAIRS):
            if not proved and connection.session is not None:
                self._certificate(connection, pair, core.evidence)
            if not proved and isinstance(core, InitiatingStream) and (offers := _offers(core)):
                self._note(connection, pair, "features", offers=offers)
            self._note(
                connection,
                pair,
                "closed",
                condition=event.condition or ("" if not event.abrupt else "lost"),
                by_peer=event.by_peer,
                text=event.text,
                proved=proved,
            )
        self._judged.pop(connection.number, None)

    def _certificate(self, connection: Connection, pair: DomainPair, evidence: Evidence) -> None:
        """The verdict on the peer's certificate, once for each domain it is to prove."""
        judged = self._judged.setdefault(connection.number, set())
        domain = pair.target
        if connection.session is None or not domain or domain in judged:
            return
        if len(judged) >= _NOTED_DOMAINS:
            return
        judged.add(domain)
        verdict = evidence.proves(domain)
        self._note(
            connection,
            pair,
            "certificate",
            valid=verdict.valid,
            reason=verdict.reason,
            not_after=verdict.not_after,
        )

    def _peer_connected(self, connection: Connection, pair: DomainPair, mechanism: str) -> None:
        """Remember how the peer proves itself; say so when it comes with less than it used to.

        Dialback believes whoever holds the peer's name in the DNS, or the way to it. Beside a
        certificate that proves the domain it takes nothing away (XEP-0344).
        """
        core = connection.core
        assert isinstance(core, ServerStream)
        remote = pair.target
        if mechanism != "external" and _also_certified(core, remote):
            return
        before = self._memory.learn(remote, Fact.PROOF, mechanism)
        if before == "external" and mechanism == "dialback":
            self._counters.add("causeway_peer_downgrades_total")
            log.warning(
                "peer.downgraded",
                stream=connection.number,
                local=pair.sender,
                remote=remote,
                before=before,
                now=mechanism,
                address=connection.address,
                certificate=core.evidence.proves(remote).reason,
            )
            self._note(connection, pair, "downgraded", before=before, now=mechanism)

    def _note(self, connection: Connection, pair: DomainPair, what: What, **detail: Detail) -> None:
        core = connection.core
        assert isinstance(core, ServerStream)
        is_stranger = connection.direction == "in" and not core.grants.proved()
        note = self._history.note_stranger if is_stranger else self._history.note
        note(
            pair.sender,
            pair.target,
            what,
            stream=connection.number,
            direction=connection.direction,
            address=connection.address,
            **detail,
        )


def _pairs(core: ServerStream) -> Iterator[DomainPair]:
    """(local, remote) of all that the stream was for, the one of its header first."""
    seen = dict.fromkeys([DomainPair(core.local, core.remote)])
    seen.update(dict.fromkeys(core.grants.send))
    seen.update(dict.fromkeys(pair.inverse() for pair in core.grants.receive))
    yield from (pair for pair in seen if pair.sender and pair.target)


def _also_certified(core: ServerStream, remote: str) -> bool:
    granted = core.grants.receive.items()
    by_certificate = any(
        mechanism == "external" and pair.sender == remote for pair, mechanism in granted
    )
    return by_certificate or core.evidence.proves(remote).valid


def _offers(core: InitiatingStream) -> str:
    """What the peer offered, in words."""
    offers = core.offers
    words = {
        "EXTERNAL": offers.external,
        "bidi": offers.bidi,
        "dialback": offers.dialback,
        "dialback errors": offers.errors,
    }
    return ", ".join(word for word, offered in words.items() if offered)
