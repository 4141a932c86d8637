"""TCP connections that become SOCKS5 bytestreams (XEP-0065): those made to us, and those we make.

A link has shaken hands and waits, unread, until a stream takes it over. Called by
`socks5_attempts`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

import structlog

from router.acceptor.dialling.addresses import permitted
from router.config import Address
from router.xmpp.bytestreams.listening import ExpectedConnections
from router.xmpp.bytestreams.s5b_transport import Candidate
from router.xmpp.bytestreams.socks5 import (
    Broken,
    Established,
    Requested,
    Socks5Client,
    Socks5Server,
)

log = structlog.get_logger()

HANDSHAKE_S: Final = 10.0
MAX_STRANGERS: Final = 64
"""Connections to us that have not said yet which bytestream they are for."""
_BACKLOG: Final = 64


@dataclass(frozen=True, slots=True)
class Link:
    """A connection that carries a bytestream from now on; `rest` has come on it already."""

    transport: asyncio.Transport
    rest: bytes

    def close(self) -> None:
        """Nobody needs it."""
        self.transport.abort()


Expecting = TypeVar("Expecting")
Hold = Callable[[str, asyncio.Transport], asyncio.Protocol | None]


class Listeners(Generic[Expecting]):
    """Where peers may connect to (S5B-08). `came` gets each link and who expected it.

    `hold` gives the protocol of a connection that nobody expects, None to refuse it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        came: Callable[[Expecting, Link], None],
        hold: Hold = lambda dstaddr, transport: None,
    ) -> None:
        self._loop = loop
        self._came = came
        self.hold = hold
        self._servers: list[asyncio.AbstractServer] = []
        self._strangers: set[_Incoming] = set()
        self.expected: ExpectedConnections[Expecting] = ExpectedConnections()
        self.addresses: list[Address] = []

    async def open(self, addresses: Sequence[Address]) -> None:
        """Listen on these. Another acceptor may still do so, which has had them before."""
        for address in addresses:
            try:
                server = await self._loop.create_server(
                    lambda: _Incoming(self._loop, self),
                    address.host,
                    address.port,
                    reuse_port=True,
                    backlog=_BACKLOG,
                )
            except OSError as error:
                log.error("socks5.cannot_listen", address=str(address), reason=str(error))
                continue
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
            self.addresses.append(Address(address.host, port))

    def close(self) -> None:
        """Let nobody in any more."""
        for server in self._servers:
            server.close()
        for stranger in list(self._strangers):
            stranger.drop()
        self._servers.clear()
        self.addresses.clear()

    def admits(self, stranger: "_Incoming") -> bool:
        """Whether one more may stay."""
        self._strangers.add(stranger)
        return len(self._strangers) <= MAX_STRANGERS

    def gone(self, stranger: "_Incoming") -> None:
        """It has said what it is for, or has gone without."""
        self._strangers.discard(stranger)

    def claim(self, dstaddr: str) -> Expecting | None:
        """Who expects this bytestream, once."""
        return self.expected.claim(dstaddr, self._loop.time())

    def came(self, expecting: Expecting, link: Link) -> None:
        """A connection is the bytestream that it asked for."""
        self._came(expecting, link)


class _Incoming(asyncio.Protocol):
    """The server's side of the handshake."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listeners: Listeners[Expecting]) -> None:
        self._listeners = listeners
        self._core = Socks5Server()
        self._transport: asyncio.Transport | None = None
        self._timer = loop.call_later(HANDSHAKE_S, self.drop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._listeners.admits(self):
            self.drop()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        said = self._core.receive(data)
        if isinstance(said, Requested):
            self._asked(said, self._transport)
            return
        self._transport.write(self._core.bytes_to_send())
        if said is not None:
            self._transport.close()

    def _asked(self, said: Requested, transport: asyncio.Transport) -> None:
        listeners, core = self._listeners, self._core
        expecting = listeners.claim(said.dstaddr)
        holder = listeners.hold(said.dstaddr, transport) if expecting is None else None
        is_wanted = expecting is not None or holder is not None
        (core.accept if is_wanted else core.refuse)()
        transport.write(core.bytes_to_send())
        if not is_wanted:
            transport.close()
            return
        self._done()
        if holder is not None:
            transport.set_protocol(holder)
        elif expecting is not None:
            transport.pause_reading()
            listeners.came(expecting, Link(transport, said.rest))

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()

    def drop(self) -> None:
        """Too many, or too slow."""
        self._done()
        if self._transport is not None:
            self._transport.abort()

    def _done(self) -> None:
        self._timer.cancel()
        self._listeners.gone(self)


class _Outgoing(asyncio.Protocol):
    """The client's side of the handshake; `done` has the link, or None."""

    def __init__(self, dstaddr: str, done: "asyncio.Future[Link | None]") -> None:
        self._core = Socks5Client(dstaddr)
        self._done = done
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._core.bytes_to_send())

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._done.done():
            return
        said = self._core.receive(data)
        self._transport.write(self._core.bytes_to_send())
        if isinstance(said, Established):
            self._transport.pause_reading()
            self._done.set_result(Link(self._transport, said.rest))
        elif isinstance(said, Broken):
            self._done.set_result(None)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def connect(
    loop: asyncio.AbstractEventLoop, candidate: Candidate, dstaddr: str, *, allow_private: bool
) -> Link | None:
    """A link to a candidate of the peer's; None where it cannot be, or in 10 s is not, had.

    An address is looked at before it is dialled, a name's addresses too (reliability C5).
    """
    done: asyncio.Future[Link | None] = loop.create_future()
    transport: asyncio.Transport | None = None
    link: Link | None = None
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            found = await loop.getaddrinfo(candidate.host, candidate.port)
            hosts = [str(entry[4][0]) for entry in found]
            host = next((each for each in hosts if permitted(each, allow_private)), None)
            if host is None:
                return None
            transport, _ = await loop.create_connection(
                lambda: _Outgoing(dstaddr, done), host, candidate.port
            )
            link = await done
    except (OSError, TimeoutError, UnicodeError):
        pass
    finally:
        if transport is not None and link is None:
            transport.abort()
    return link
