"""Routers on the same link: found by their records, and joined by a stream over TCP (XEP-0174).

Owns the listening socket, who is there, and the streams. A record only says where to connect to:
who may stay is who is listed and has a certificate for it. Made by `end_to_end` where `[e2e] lan`
is set, and used while the address is ours.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

import structlog

from router.acceptor.connection import Connection
from router.acceptor.dialling.addresses import connect
from router.acceptor.e2e.express import Express
from router.acceptor.e2e.hub import InnerHub
from router.acceptor.e2e.link_records import NOWHERE, LinkError, LinkRecords
from router.acceptor.e2e.listing import Listing
from router.acceptor.openings import Openings, new_stream_id
from router.config import Address, Config
from router.xmpp import jid
from router.xmpp.e2e_ends import Ends
from router.xmpp.link_local import Presence, default_name
from router.xmpp.link_local_stream import LinkInitiator, LinkRecipient
from router.xmpp.states import Phase

log = structlog.get_logger()

CONNECT_S: Final = 10.0
AGAIN_S: Final = 30.0
"""When the link is tried again that could not be used."""
MAX_STRANGERS: Final = 64
"""Streams to us that nobody has been proved on yet."""
MAX_STREAMS: Final = 256
MAX_PRESENT: Final = 1024
_BACKLOG: Final = 64


class _Joining(asyncio.Protocol):
    """Stands on a new transport until the stream's own layer takes over, at once."""

    def __init__(self, begin: Callable[[asyncio.Transport], None]) -> None:
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._begin(cast(asyncio.Transport, transport))


class Lan:
    """`hub` is for these streams alone: it tells which of them are gone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        address: Address,
        listing: Listing,
        openings: Openings,
        hub: InnerHub,
    ) -> None:
        lanes = [lane.peer for lane in config.e2e.express]
        self._loop = loop
        self._address = address
        self._local = config.service
        self._ends = {
            peer: Ends(self._local, peer, listing.pairs_with(peer))
            for peer in (*lanes, *config.e2e.accept)
        }
        self._name = config.e2e.lan_name or default_name(socket.gethostname())
        self._openings = openings
        self._hub = hub
        hub.ended = self._ended
        self._lanes = frozenset(lanes)
        self._express = Express(loop, self._local, lanes, self._has_or_cannot, self._dial)
        self._present: dict[str, Presence] = {}
        self._streams: dict[Connection, LinkInitiator | LinkRecipient] = {}
        self._dials: dict[str, asyncio.Task[None]] = {}
        self._records: LinkRecords | None = None
        self._life: asyncio.Task[None] | None = None

    # --- life ---

    def begin(self) -> None:
        """Listen, say that we are here, and open what is listed as others come."""
        self._life = self._loop.create_task(self._live())

    def end(self) -> None:
        """Say goodbye, and let nobody in any more. Streams stay."""
        self._express.end()
        for task in (*self._dials.values(), self._life):
            if task is not None:
                task.cancel()

    def close(self) -> None:
        """Close the streams in order."""
        self.end()
        for connection in list(self._streams):
            connection.close()

    async def _live(self) -> None:
        while True:
            try:
                await self._be_there()
            except LinkError as error:
                log.error("lan.unusable", address=str(self._address), reason=str(error))
            await asyncio.sleep(AGAIN_S)

    async def _be_there(self) -> None:
        """Until cancelled, or one of LinkError says that it cannot be."""
        records: LinkRecords | None = None
        server = await self._loop.create_server(
            lambda: _Joining(self._came),
            self._address.host,
            self._address.port,
            reuse_port=True,
            backlog=_BACKLOG,
            start_serving=False,
        )
        try:
            records = LinkRecords(self._address.host, self._found, self._gone)
            port = server.sockets[0].getsockname()[1]
            self._name = await records.announce(self._name, self._local, port)
            await server.start_serving()
            log.info("lan.announced", name=self._name, port=port)
            self._records = records
            self._express.begin()
            if self._lanes:  # LLP-02: others are asked by who wants to connect, and nobody else
                records.browse()
            await self._loop.create_future()
        finally:
            server.close()
            self._present.clear()
            if records is not None:
                records.leave()  # at once: who cancels us may not wait for the rest
                await records.close()

    # --- who is there ---

    def _found(self, presence: Presence) -> None:
        is_new = presence.name not in self._present
        claims = self._lanes.intersection(presence.jids)
        if not claims or (is_new and len(self._present) >= MAX_PRESENT):
            self._present.pop(presence.name, None)
            return
        self._present[presence.name] = presence
        for peer in claims:
            if is_new:
                log.info("lan.found", name=presence.name, claims=peer)
            self._express.came(peer)

    def _gone(self, name: str) -> None:
        if self._present.pop(name, None) is not None:
            log.info("lan.gone", name=name)

    def _has_or_cannot(self, peer: str) -> bool:
        """Whether there is a stream with this address, or none can be opened now."""
        is_up = any(
            core.ends.peer == peer and (isinstance(core, LinkInitiator) or _is_open(core))
            for core in self._streams.values()
        )
        return is_up or peer in self._dials or self._claimant(peer) is None

    def _claimant(self, peer: str) -> str | None:
        names = (name for name, each in self._present.items() if peer in each.jids)
        return next(names, None)

    # --- streams ---

    def _dial(self, peer: str) -> None:
        if (name := self._claimant(peer)) is not None:
            self._present[name] = self._present.pop(name)  # another who claims this is tried next
            self._dials[peer] = self._loop.create_task(self._connect(peer, name))

    async def _connect(self, peer: str, name: str) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                place = await self._records.place(name) if self._records is not None else NOWHERE
                await connect(
                    self._loop,
                    place.addresses,
                    place.port,
                    lambda: _Joining(lambda transport: self._open(peer, name, transport)),
                )
        except (*LinkError, TimeoutError) as error:
            log.info("lan.cannot_connect", name=name, claims=peer, reason=str(error))
            self._loop.call_soon(self._express.over, peer)
        finally:
            self._dials.pop(peer, None)

    def _open(self, peer: str, name: str, transport: asyncio.Transport) -> None:
        policy, now = self._openings.policy_of("e2e"), self._loop.time()
        core = LinkInitiator(policy, new_stream_id, self._ends[peer], self._name, name, now)
        first = core.open()
        self._keep(core, "out", peer, transport).act(first)

    def _came(self, transport: asyncio.Transport) -> None:
        strangers = sum(not _is_open(core) for core in self._streams.values())
        if strangers >= MAX_STRANGERS or len(self._streams) >= MAX_STREAMS:
            transport.abort()
            return
        policy, listed = self._openings.policy_of("e2e"), tuple(self._ends.values())
        core = LinkRecipient(policy, new_stream_id, listed, self._name, self._loop.time())
        self._keep(core, "in", self._local, transport)

    def _keep(
        self,
        core: LinkInitiator | LinkRecipient,
        direction: str,
        peer: str,
        transport: asyncio.Transport,
    ) -> Connection:
        connection = self._openings.inner(
            self._hub, core, direction, self._local, jid.domain_of(peer)
        )
        self._streams[connection] = core
        connection.connected(transport)
        return connection

    def _ended(self, connection: Connection) -> None:
        core = self._streams.pop(connection)
        self._express.over(core.ends.peer)


def _is_open(core: LinkInitiator | LinkRecipient) -> bool:
    return core.phase in (Phase.OPEN, Phase.CLOSING)
