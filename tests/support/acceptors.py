"""What surrounds the parts of one acceptor in its tests: transports, hubs, workers, counters.

Nothing here decides anything; all of it writes down what it is told.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import zmq

from router.acceptor.connection import Connection
from router.acceptor.tls import TlsSession
from router.metrics import Counters
from router.wire.bus import DealerSocket
from router.wire.codec import decode, encode
from router.wire.frames import Data, Forward, Frame
from router.wire.leases import Leases
from router.wire.shard import SHARDS
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.events import Event
from router.xmpp.states import Phase
from router.xmpp.xmlstream import XmlStream

PATIENCE_S = 10.0
HOST = "127.0.0.1"

F = TypeVar("F", bound=Frame)


def counted(counters: Counters, name: str, *labels: str) -> float:
    """The sum over all rows of a metric whose labels include these."""
    return sum(
        value
        for row, have, value in counters.snapshot()
        if row == name and set(labels) <= set(have)
    )


class Changing:
    """Something that tests wait for."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def changed(self) -> None:
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until what was told makes it so."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


def live_leases(generation: int, owner: str = "w0.1") -> Leases:
    """All shards are leased to a worker that has been told everything."""
    leases = Leases(acceptors={"a0.1", "a1.1", "a9.1"})
    for shard in range(SHARDS):
        leases.lease(shard, owner, generation)
        leases.live[shard] = True
    return leases


class Hub(Changing):
    """A connection's acceptor that only writes down: (what, value) in order."""

    def __init__(self, evidence: Evidence = NO_CERTIFICATE) -> None:
        super().__init__()
        self.heard: list[tuple[str, Any]] = []
        self._evidence = evidence

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    def events(self, kind: type[Event] = Event) -> list[Event]:
        """The events of this kind, in order."""
        return [value for name, value in self.heard if name == "event" and isinstance(value, kind)]

    def _hear(self, name: str, value: Any = None) -> None:
        self.heard.append((name, value))
        self.changed()

    def happened(self, connection: Connection, event: Event) -> None:
        self._hear("event", event)

    def opened(self, connection: Connection) -> None:
        self._hear("opened")

    def evidence(self, connection: Connection, session: TlsSession) -> Evidence:
        self._hear("evidence", session)
        return self._evidence

    def moved(self, connection: Connection, before: Phase) -> None:
        """For the log alone."""

    def drained(self, connection: Connection) -> None:
        self._hear("drained")

    def tls_done(self, connection: Connection, session: TlsSession | None, reason: str) -> None:
        self._hear("tls", reason if session is None else session.version)

    def closing(self, connection: Connection) -> None:
        self._hear("closing")

    def lost(self, connection: Connection) -> None:
        self._hear("lost")


class Transport:
    """A transport that is no socket: keeps what is written, takes what a test feeds."""

    def __init__(self, address: tuple[str, int] | None = ("192.0.2.1", 5269)) -> None:
        self.written = b""
        self.is_closed = False
        self.is_aborted = False
        self.is_paused = False
        self._address = address
        self._protocol: asyncio.BufferedProtocol | None = None

    def get_extra_info(self, name: str) -> Any:
        return self._address if name == "peername" else None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.BufferedProtocol)
        self._protocol = protocol

    def feed(self, text: str) -> None:
        """The peer says this."""
        octets = text.encode()
        assert self._protocol is not None
        self._protocol.get_buffer(-1)[: len(octets)] = octets  # type: ignore[index]
        self._protocol.buffer_updated(len(octets))

    async def said(self) -> str:
        """All that has been written by the end of this turn, quotes made alike."""
        await asyncio.sleep(0)
        return self.written.decode().replace('"', "'")

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            assert self._protocol is not None
            asyncio.get_running_loop().call_soon(self._lost, self._protocol)

    def _lost(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = None  # as uvloop does: nothing leads from a closed socket to its user
        protocol.connection_lost(None)

    def abort(self) -> None:
        self.is_aborted = True
        self.close()

    def write_eof(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def get_write_buffer_size(self) -> int:
        return 0


def connection_of(
    core: XmlStream, hub: Any = None, *, number: int = 1, direction: str = "in", leg: str = "s2s"
) -> Connection:
    """A connection on this core, not connected yet."""
    return Connection(
        hub or Hub(),
        asyncio.get_running_loop(),
        core,
        number=number,
        direction=direction,
        leg=leg,
        tls_context=None,
    )


def wired(core: XmlStream, hub: Any = None, **settings: Any) -> tuple[Connection, Transport]:
    """A connection on this core, and the transport it has got."""
    connection, transport = connection_of(core, hub, **settings), Transport()
    connection.connected(cast(asyncio.Transport, transport))
    return connection, transport


@asynccontextmanager
async def over_tcp(connection: Connection, receive_bytes: int = 0) -> AsyncIterator[socket.socket]:
    """Connect it on loopback; yields the peer's socket, which reads only what a test reads.

    `receive_bytes`: how little the peer's kernel takes before somebody reads.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as listening:
        if receive_bytes:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        listening.bind((HOST, 0))
        listening.listen()
        port = listening.getsockname()[1]
        transport, _ = await loop.create_connection(asyncio.Protocol, HOST, port)
        connection.connected(transport)
        peer, _ = listening.accept()
    peer.setblocking(False)
    try:
        yield peer
    finally:
        peer.close()
        connection.abort()


async def read_exactly(peer: socket.socket, count: int) -> bytes:
    """So many octets from a socket."""
    octets = bytearray()
    async with asyncio.timeout(PATIENCE_S):
        while len(octets) < count:
            more = await asyncio.get_running_loop().sock_recv(peer, count - len(octets))
            assert more, f"ended after {octets[-200:]!r}"
            octets += more
    return bytes(octets)


class Worker(Changing):
    """A routing worker that says what a test tells it to, on the real bus."""

    def __init__(self, context: zmq.Context, endpoint: str, name: str = "w0.1") -> None:
        super().__init__()
        self.name = name
        self.heard: list[Frame] = []
        self._dealer = DealerSocket(
            asyncio.get_running_loop(), context, endpoint, name, self._received
        )

    def _received(self, parts: list[bytes]) -> None:
        self.heard.append(decode(parts))
        self.changed()

    def send(self, frame: Frame) -> None:
        assert self._dealer.send(encode(frame))

    def send_raw(self, *parts: bytes) -> None:
        assert self._dealer.send(parts)

    async def hears(self, kind: type[F], **values: object) -> F:
        """The oldest frame of this kind with these values, which is then forgotten."""

        def found() -> F | None:
            for frame in self.heard:
                if isinstance(frame, kind) and all(
                    getattr(frame, name) == value for name, value in values.items()
                ):
                    return frame
            return None

        await self.until(lambda: found() is not None)
        frame = found()
        assert frame is not None
        self.heard.remove(frame)
        return frame

    def close(self) -> None:
        self._dealer.close()


def forward(owner: str, data: Data, stream: int) -> Forward:
    """What a worker makes of a run that is to leave on this stream."""
    return Forward(
        owner,
        data.lane,
        data.epoch,
        data.first,
        data.counts,
        data.pair,
        data.generation,
        stream,
        0,
        data.octets,
    )


@dataclass
class Sent:
    """Where frames go in tests without a bus: (to whom, frame), in order."""

    shards: list[tuple[int, Frame]] = field(default_factory=list)
    acceptors: list[tuple[str, Frame]] = field(default_factory=list)

    def to_shard(self, shard: int, frame: Frame) -> None:
        self.shards.append((shard, frame))

    def to_acceptor(self, acceptor: str, frame: Frame) -> None:
        self.acceptors.append((acceptor, frame))

    def data(self) -> list[Data]:
        """The runs sent to shards."""
        return [frame for _, frame in self.shards if isinstance(frame, Data)]
