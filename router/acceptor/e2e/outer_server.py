"""The router's address as a component of somebody else's server (XEP-0114, `[e2e] server`).

Dials that server and keeps the connection; what comes for the address goes to the service, what the
service says leaves here. While the address is ours; made by `end_to_end`.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import structlog

from router.acceptor import steps
from router.acceptor.connection import Connection, Hub
from router.acceptor.ingress import Ingress
from router.acceptor.openings import Openings
from router.acceptor.tls import TlsSession
from router.config import Config
from router.xmpp import events
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.component_client import ComponentClientStream
from router.xmpp.errors import StanzaError
from router.xmpp.events import Event
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts, Stanza, bounce, cut, may_bounce
from router.xmpp.states import Phase

log = structlog.get_logger()

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
CONNECT_S: Final = 10.0
_LEG: Final = "component"
_NO_SERVER: Final = StanzaError.of("remote-server-timeout", "no connection to the server")


class _Dialled(asyncio.Protocol):
    """Stands on a new transport until the connection's own layer takes over, at once."""

    def __init__(self, connected: Callable[[asyncio.Transport], None]) -> None:
        self._connected = connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connected(cast(asyncio.Transport, transport))


class OuterServer:
    """`received` gets stanzas for the address, `undelivered` those of ours that cannot leave.

    `served` is called whenever there is a connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        openings: Openings,
        ingress: Ingress,
        received: Callable[[bytes], None],
        undelivered: Callable[[DomainPair, bytes, StanzaError], None],
        served: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._config = config
        self._openings = openings
        self._ingress = ingress
        self._received = received
        self._undelivered = undelivered
        self._served = served
        self._connection: Connection | None = None
        self._wait_s = FIRST_S
        self._is_on = False
        self._dialling: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The address is ours: connect, and whenever the connection is lost, again."""
        self._is_on = True
        self._dialling = self._loop.create_task(self._dial(0.0))

    def end(self) -> None:
        """Close in order, and connect no more."""
        self._is_on = False
        if self._dialling is not None:
            self._dialling.cancel()
        if self._connection is not None:
            self._connection.close()

    def send(self, pair: DomainPair, counts: Counts, octets: bytes) -> None:
        """Stanzas of the address; without a connection, or without room, they come back."""
        connection = self._connection
        most = self._config.limits.output_buffer_bytes
        if (
            connection is None
            or not connection.may_send(pair)
            or connection.buffered() + len(octets) > most
        ):
            self._loop.call_soon(self._undelivered, pair, octets, _NO_SERVER)
            return
        connection.send_run(pair, octets, counts.total)
        connection.stanzas_out += counts.total
        self._ingress.count_sent(connection, counts, len(octets))

    async def _dial(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        e2e = self._config.e2e
        assert e2e.server is not None
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._loop.create_connection(
                    lambda: _Dialled(self._connected), e2e.server.host, e2e.server.port
                )
        except (OSError, TimeoutError) as error:
            log.warning("e2e.server_unreachable", server=str(e2e.server), reason=str(error))
            self._again()

    def _again(self) -> None:
        if self._is_on:
            self._dialling = self._loop.create_task(self._dial(self._wait_s))
            self._wait_s = min(2 * self._wait_s, LONGEST_S)

    def _connected(self, transport: asyncio.Transport) -> None:
        config = self._config
        policy = self._openings.policy_of(_LEG)
        core = ComponentClientStream(policy, config.service, config.e2e.secret, self._loop.time())
        first = core.open()
        hub: Hub = self
        connection = self._openings.keep(
            lambda number: Connection(
                hub, self._loop, core, number=number, direction="out", leg=_LEG, tls_context=None
            )
        )
        self._connection = connection
        connection.connected(transport)
        connection.act(first)

    # --- what the connection reports (connection.Hub) ---

    def happened(self, connection: Connection, event: Event) -> None:
        """Act on an event of the stream."""
        if isinstance(event, events.RunReceived):
            self._ingress.taken(connection, event.counts, len(event.octets))
            self._received(event.octets)
        elif isinstance(event, events.StanzaRefused):
            self._refuse(connection, event)
        elif isinstance(event, events.PairAuthorised):
            self._wait_s = FIRST_S
            log.info("e2e.served", server=str(self._config.e2e.server))
            self._served()
        elif isinstance(event, events.StreamClosed):
            steps.log_closed(connection, event)

    def _refuse(self, connection: Connection, event: events.StanzaRefused) -> None:
        stanza: Stanza = next(cut(event.octets))
        one = Counts.one(stanza.kind)
        self._ingress.taken(connection, one, len(event.octets))
        if may_bounce(stanza):
            self.send(event.pair.inverse(), one, bounce(stanza, event.error))

    def opened(self, connection: Connection) -> None:
        """The TCP connection stands."""
        steps.log_opened(connection)

    def evidence(self, connection: Connection, session: TlsSession) -> Evidence:
        """There is no TLS on such a connection."""
        return NO_CERTIFICATE

    def tls_done(self, connection: Connection, session: TlsSession | None, reason: str) -> None:
        """There is no TLS on such a connection."""

    def moved(self, connection: Connection, before: Phase) -> None:
        """A step of the negotiation."""
        steps.log_phase(connection, before)

    def closing(self, connection: Connection) -> None:
        """Nothing leaves here any more."""

    def drained(self, connection: Connection) -> None:
        """The server has read."""

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""
        self._openings.open.pop(connection.number, None)
        if self._connection is connection:
            self._connection = None
            self._again()
