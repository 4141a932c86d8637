"""The negotiation of a stream, step by step, for the log at level debug: names, never octets.

What failed and what ended is told at any level. The acceptor calls it with each change of phase,
with the events of proofs and of the end; nothing else does.
"""

from typing import Final

from router.acceptor.connection import Connection
from router.acceptor.streams import names
from router.acceptor.tls import TlsSession
from router.log import is_debug, logger
from router.xmpp import events
from router.xmpp.events import Event
from router.xmpp.initiating import InitiatingStream
from router.xmpp.receiving import ReceivingStream
from router.xmpp.s2s import ServerStream
from router.xmpp.states import Phase

log = logger(__name__)

_OFFERING: Final = (Phase.PLAIN, Phase.SECURE)
"""Phases of a receiving server that begin with its features."""

_JUDGED: Final = (Phase.SECURE, Phase.SECURE_FEATURES)
"""Phases in which a header inside TLS has just told for whom the peer's certificate must be."""


def log_opened(connection: Connection) -> None:
    """A TCP connection stands."""
    if not is_debug():
        return
    log.debug("stream.opened", **names(connection), leg=connection.leg, address=connection.address)


def log_tls(connection: Connection, session: TlsSession | None, reason: str) -> None:
    """A TLS handshake is complete, or has failed for this reason, which is told at any level."""
    if session is None:
        where = connection.address
        log.warning("tls.failed", **names(connection), address=where, reason=reason)
        return
    if not is_debug():
        return
    log.debug(
        "tls.established",
        **names(connection),
        version=session.version,
        cipher=session.cipher,
        alpn=session.alpn,
        server_name=session.server_name,
        certificates=len(session.chain),
    )


def log_closed(connection: Connection, event: events.StreamClosed) -> None:
    """The stream is over, which is told at level info."""
    log.info(
        "stream.closed",
        **names(connection),
        condition=event.condition,
        by_peer=event.by_peer,
        text=event.text,
    )


def log_phase(connection: Connection, before: Phase) -> None:
    """The stream went from `before` to the phase it is in now."""
    if not is_debug():
        return
    core = connection.core
    said: dict[str, object] = {"before": before.value, "phase": core.phase.value}
    if isinstance(core, ServerStream):
        said |= {"bidi": core.is_bidi, "mechanism": core.mechanism}
        if core.phase in _JUDGED:
            said["certificate"] = core.evidence.proves(core.remote).reason
    if isinstance(core, InitiatingStream):
        offers = core.offers
        offered = {"external": offers.external, "bidi": offers.bidi, "dialback": offers.dialback}
        said |= {"offers": [name for name, is_offered in offered.items() if is_offered]}
        said["external"] = core.external
    elif isinstance(core, ReceivingStream) and core.phase in _OFFERING:
        said["offers"] = list(core.offered())
    log.debug("stream.phase", **names(connection), **said)


def log_proof(connection: Connection, event: Event) -> None:
    """Something about who may send what; other events are passed over."""
    if not is_debug():
        return
    if isinstance(event, events.KeyReceived):
        log.debug("dialback.key_received", **names(connection), pair=str(event.pair))
    elif isinstance(event, events.KeyAnswered):
        said = {"pair": str(event.pair), "verdict": event.verdict}
        log.debug("dialback.key_answered", **names(connection), **said)
    elif isinstance(event, events.PairRefused):
        said = {"pair": str(event.pair), "condition": event.error.condition}
        log.debug("s2s.refused", **names(connection), **said, answer=event.answer)
    elif isinstance(event, events.PairAuthorised) and isinstance(connection.core, ServerStream):
        said = {"pair": str(event.pair), "mechanism": event.mechanism}
        log.debug("s2s.granted", **names(connection), **said, may_send=event.may_send)
    elif isinstance(event, events.AttachRequested):
        log.debug("component.asked", **names(connection), address=connection.address)
