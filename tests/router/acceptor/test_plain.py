"""The layer without encryption: the same surface as TLS, and nothing in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from router.acceptor.layer import CHUNK_BYTES, Layer
from router.acceptor.plain import PlainLayer
from tests.support.layers import PATIENCE_S, Recorder, listening

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Recorder, Layer, Peer]]:
    """An upper, its layer, and the peer's end of the connection."""
    async with asyncio.timeout(PATIENCE_S), listening(PlainLayer) as (port, upper):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"!")
        await upper.receives(1)
        upper.chunks.clear()
        assert upper.layer is not None
        yield upper, upper.layer, (reader, writer)
        writer.close()


async def test_the_writes_of_one_turn_leave_together() -> None:
    async with connected() as (_, layer, (reader, _)):
        flushed: list[int] = []
        layer.on_flush = flushed.append
        layer.write(b"<a/>")
        layer.write(b"<b/>")
        assert (layer.buffered(), layer.written()) == (8, 0)
        assert await reader.readexactly(8) == b"<a/><b/>"
        assert flushed == [8]
        assert (layer.buffered(), layer.written()) == (0, 8)


async def test_chunks_are_bounded_and_whole() -> None:
    sent = bytes(range(256)) * 4096
    async with connected() as (upper, _, (_, writer)):
        writer.write(sent)
        assert await upper.receives(len(sent)) == sent
        assert max(map(len, upper.chunks)) <= CHUNK_BYTES


async def test_an_end_in_the_clear_is_never_clean_and_leaves_us_writing() -> None:
    async with connected() as (upper, layer, (reader, writer)):
        writer.write_eof()
        assert await upper.hears("eof") is False
        layer.write(b"</stream:stream>")
        layer.close()
        assert await reader.read() == b"</stream:stream>"
        assert await upper.hears("lost") is None
        assert upper.names() == ["eof", "lost"]


async def test_after_close_nothing_is_heard_or_sent() -> None:
    async with connected() as (upper, layer, (reader, _)):
        layer.write(b"last")
        layer.close()
        layer.write(b"too late")
        layer.get_buffer(-1)[:7] = b"unheard"
        layer.buffer_updated(7)
        assert await reader.read() == b"last"
        await upper.hears("lost")
        assert (upper.names(), upper.octets) == (["lost"], b"")


async def test_abort_drops_what_waits() -> None:
    async with connected() as (upper, layer, (reader, _)):
        layer.write(b"never")
        layer.abort()
        await upper.hears("lost")
        assert await reader.read() == b""
        assert layer.written() == 0
