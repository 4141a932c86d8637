"""Two layers joined on loopback or in memory, each with an upper that writes down what it hears."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from OpenSSL import SSL

from router.acceptor.layer import Layer
from router.acceptor.tls import TlsLayer, TlsSession

PATIENCE_S = 10.0
MONTAGUE, CAPULET = "montague.example", "capulet.example"
VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}

Seen = tuple[str, Any]


class Recorder:
    """An upper. `heard` is every call in order, octets joined where nothing came between."""

    def __init__(self) -> None:
        self.layer: Layer | None = None
        self.heard: list[Seen] = []
        self.chunks: list[bytes] = []
        self.session: TlsSession | None = None
        self.on_data: Callable[[bytes], None] | None = None
        self._changed = asyncio.Event()

    def _hear(self, name: str, value: Any = None) -> None:
        self.heard.append((name, value))
        self._changed.set()

    def tls_established(self, session: TlsSession) -> None:
        self.session = session
        self._hear("established")

    def tls_failed(self, reason: str) -> None:
        self._hear("failed", reason)

    def data_received(self, octets: bytes) -> None:
        assert isinstance(octets, bytes)
        self.chunks.append(octets)
        self._changed.set()
        if self.on_data is not None:
            self.on_data(octets)

    def eof_received(self, clean: bool) -> None:
        self._hear("eof", clean)

    def connection_lost(self, error: Exception | None) -> None:
        self._hear("lost", error)

    def pause_writing(self) -> None:
        self._hear("pause")

    def resume_writing(self) -> None:
        self._hear("resume")

    @property
    def octets(self) -> bytes:
        return b"".join(self.chunks)

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something that this upper hears makes it so."""
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    async def hears(self, name: str) -> Any:
        """Wait for a call; returns its argument."""
        await self.until(lambda: name in self.names())
        return next(value for seen, value in self.heard if seen == name)

    async def receives(self, count: int) -> bytes:
        """Wait for so many octets; returns all there are."""
        await self.until(lambda: sum(map(len, self.chunks)) >= count)
        return self.octets


class Starter(asyncio.Protocol):
    """The protocol a loop wants first: makes the layer as soon as there is a transport."""

    def __init__(self, make: Callable[[asyncio.Transport], Layer], upper: Recorder) -> None:
        self._make = make
        self._upper = upper

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._upper.layer = self._make(cast(asyncio.Transport, transport))


@asynccontextmanager
async def listening(
    make: Callable[[asyncio.Transport, Recorder], Layer],
) -> AsyncIterator[tuple[int, Recorder]]:
    """A port on loopback whose connection gets a layer of `make`, and that layer's upper."""
    loop = asyncio.get_running_loop()
    upper = Recorder()
    server = await loop.create_server(
        lambda: Starter(lambda transport: make(transport, upper), upper), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1], upper
    finally:
        server.close()
        if upper.layer is not None:
            upper.layer.abort()
            await upper.hears("lost")
        await server.wait_closed()


@asynccontextmanager
async def on_loopback(
    server: SSL.Context, client: SSL.Context, server_name: str | None = None
) -> AsyncIterator[tuple[Recorder, Recorder]]:
    """Two TLS layers on a TCP connection: (the accepting upper, the connecting one)."""

    def accept(transport: asyncio.Transport, upper: Recorder) -> Layer:
        return TlsLayer(transport, server, upper, server_side=True)

    def connect(transport: asyncio.Transport) -> Layer:
        return TlsLayer(transport, client, upper, server_side=False, server_name=server_name)

    upper = Recorder()
    async with listening(accept) as (port, accepting):
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Starter(connect, upper), "127.0.0.1", port)
        try:
            yield accepting, upper
        finally:
            assert upper.layer is not None
            upper.layer.abort()
            await upper.hears("lost")


class Pipe:
    """One end of a byte stream in memory: a transport that is no socket.

    `on_the_way` may change what is written, before it reaches the other end.
    """

    def __init__(self) -> None:
        self.other: Pipe | None = None
        self.on_the_way: Callable[[bytes], bytes] = bytes
        self.sent = b""
        self._protocol: asyncio.BufferedProtocol | None = None
        self._closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.BufferedProtocol)
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        if self._closing:
            return
        self.sent += data
        if self.other is not None:
            asyncio.get_running_loop().call_soon(self.other.deliver, self.on_the_way(data))

    def deliver(self, octets: bytes) -> None:
        """Octets come in."""
        while octets and not self._closing:
            assert self._protocol is not None
            buffer = self._protocol.get_buffer(-1)
            taken = min(len(octets), len(buffer))
            buffer[:taken] = octets[:taken]  # type: ignore[index]
            self._protocol.buffer_updated(taken)
            octets = octets[taken:]

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            loop = asyncio.get_running_loop()
            assert self._protocol is not None
            loop.call_soon(self._protocol.connection_lost, None)
            if self.other is not None:
                loop.call_soon(self.other.end)

    abort = close

    def end(self) -> None:
        """The other end is gone."""
        if not self._closing and self._protocol is not None and not self._protocol.eof_received():
            self.close()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


def alone_in_memory(server: SSL.Context) -> tuple[Recorder, Pipe]:
    """An accepting TLS layer on a pipe whose other end is the test: `deliver` and `sent`."""
    accepting, pipe = Recorder(), Pipe()
    accepting.layer = TlsLayer(pipe, server, accepting, server_side=True)
    return accepting, pipe


def in_memory(
    server: SSL.Context, client: SSL.Context, server_name: str | None = None
) -> tuple[Recorder, Recorder, Pipe, Pipe]:
    """Two TLS layers joined in memory: the uppers, then their pipes; the accepting side first."""
    accepting, here = alone_in_memory(server)
    connecting, there = Recorder(), Pipe()
    here.other, there.other = there, here
    connecting.layer = TlsLayer(
        there, client, connecting, server_side=False, server_name=server_name
    )
    return accepting, connecting, here, there


def bare_client(version: str = "TLSv1.3", alpn: list[bytes] | None = None) -> SSL.Context:
    """A client that shows no certificate and has no wishes but these."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(VERSIONS[version])
    if alpn:
        context.set_alpn_protos(alpn)
    return context


@asynccontextmanager
async def established(
    server: SSL.Context, version: str = "TLSv1.3"
) -> AsyncIterator[tuple[Recorder, Recorder, Layer, Layer]]:
    """Both uppers and both layers of a finished handshake; the accepting side first."""
    async with on_loopback(server, bare_client(version)) as (accepting, connecting):
        await accepting.hears("established")
        await connecting.hears("established")
        assert accepting.layer is not None
        assert connecting.layer is not None
        yield accepting, connecting, accepting.layer, connecting.layer


def shaken_hands(accepting: Recorder, server_end: Pipe, version: str = "TLSv1.3") -> SSL.Connection:
    """A bare OpenSSL client that has completed a handshake with the layer on this pipe."""
    client = SSL.Connection(bare_client(version), None)
    client.set_connect_state()
    is_complete = False
    while not is_complete or "established" not in accepting.names():
        try:
            client.do_handshake()
            is_complete = True
        except SSL.WantReadError:
            pass
        with suppress(SSL.WantReadError):
            server_end.deliver(client.bio_read(65_536))
        if server_end.sent:
            client.bio_write(server_end.sent)
            server_end.sent = b""
    return client


async def sessions(
    server: SSL.Context, client: SSL.Context, server_name: str | None = None
) -> tuple[TlsSession, TlsSession]:
    """What each side, the accepting one first, agreed on."""
    accepting, connecting, _, _ = in_memory(server, client, server_name)
    await accepting.hears("established")
    await connecting.hears("established")
    assert accepting.session is not None
    assert connecting.session is not None
    return accepting.session, connecting.session
