"""What inner streams report (`connection.Hub`), and who hears of it: lanes, shards, the log.

As the acceptor does for streams with servers, but that nothing is dialled, learned or witnessed.
Made by the acceptor, with `ended` as the way back to the session that the stream belongs to.
"""

from collections.abc import Callable

import structlog

from router.acceptor import steps
from router.acceptor.connection import Connection, Hub
from router.acceptor.egress import Egress
from router.acceptor.ingress import Ingress
from router.acceptor.liveness import Liveness
from router.acceptor.openings import Openings
from router.acceptor.streams import names
from router.acceptor.tls import TlsSession
from router.wire.frames import Frame, Granted, Revoked
from router.wire.shard import shard_of
from router.xmpp import events
from router.xmpp.certificate import Evidence
from router.xmpp.events import Event
from router.xmpp.grants import EXPRESS
from router.xmpp.states import Phase

log = structlog.get_logger()


class InnerHub:
    """The hub of all inner streams of an acceptor. `outer` judges certificates."""

    def __init__(
        self,
        outer: Hub,
        openings: Openings,
        ingress: Ingress,
        egress: Egress,
        liveness: Liveness,
        to_shard: Callable[[int, Frame], None],
    ) -> None:
        self._outer = outer
        self._openings = openings
        self._ingress = ingress
        self._egress = egress
        self._liveness = liveness
        self._to_shard = to_shard
        self.ended: Callable[[Connection], None] = lambda _: None
        """Told of each stream whose transport is gone."""

    def happened(self, connection: Connection, event: Event) -> None:
        """Act on an event of a stream."""
        if isinstance(event, events.RunReceived):
            self._ingress.run_received(connection, event.pair, event.counts, event.octets)
        elif isinstance(event, events.StanzaRefused):
            self._ingress.stanza_refused(connection, event.pair, event.octets, event.error)
        elif isinstance(event, events.PairAuthorised):
            self._authorised(connection, event)
        elif isinstance(event, events.StreamReady):
            said = {"tls": event.is_encrypted, "certified": event.is_certified}
            log.info("e2e.ready", **names(connection), **said)
        elif isinstance(event, events.StreamClosed):
            steps.log_closed(connection, event)
            self._ingress.stream_gone(connection)
        elif isinstance(event, events.Ignored):
            log.info("stream.ignored", **names(connection), what=event.what)

    def _authorised(self, connection: Connection, event: events.PairAuthorised) -> None:
        if event.may_send:
            initiated = connection.direction == "out"
            granted = Granted(connection.number, event.pair, initiated, EXPRESS)
            self._to_shard(shard_of(*event.pair), granted)
            log.info("e2e.express", **names(connection), pair=str(event.pair))

    def closing(self, connection: Connection) -> None:
        """Nothing leaves here any more: pairs go back to ordinary streams at once."""
        for pair in connection.core.grants.send:
            self._to_shard(shard_of(*pair), Revoked(connection.number, pair))

    def evidence(self, connection: Connection, session: TlsSession) -> Evidence:
        """What the peer's certificate proves."""
        return self._outer.evidence(connection, session)

    def tls_done(self, connection: Connection, session: TlsSession | None, reason: str) -> None:
        """A handshake ended."""
        steps.log_tls(connection, session, reason)

    def opened(self, connection: Connection) -> None:
        """The transport stands."""
        steps.log_opened(connection)

    def moved(self, connection: Connection, before: Phase) -> None:
        """A step of the negotiation."""
        steps.log_phase(connection, before)

    def drained(self, connection: Connection) -> None:
        """The peer has taken most of what waited for it."""
        self._egress.drained(connection)

    def lost(self, connection: Connection) -> None:
        """The transport is gone: return what did not reach the peer."""
        self._openings.open.pop(connection.number, None)
        self._egress.stream_gone(connection)
        self._liveness.gone(connection)
        self.ended(connection)
