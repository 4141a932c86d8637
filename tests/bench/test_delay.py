"""The delay relay: octets come late, whole and in order, and everything is counted.

Times are lower bounds, with half the resolution of the loop's timers to spare.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench import delay
from bench.delay import HOST, Relay, is_client_hello, reset

RTT_S = 0.06
TIMER_S = 0.001
CLIENT_HELLO = bytes.fromhex("16030100c801")


class Server:
    """Accepts, and keeps each connection for the test."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.accepted.put((reader, writer))


@asynccontextmanager
async def path(rtt_s: float) -> AsyncIterator[tuple[Relay, Server]]:
    server = Server()
    listening = await asyncio.start_server(server.accept, HOST, 0)
    async with listening:
        place = (HOST, listening.sockets[0].getsockname()[1])
        async with Relay(rtt_s, place) as relay:
            yield relay, server
        while not server.accepted.empty():
            server.accepted.get_nowait()[1].close()


async def test_the_first_octets_wait_for_the_handshake_and_the_answer_for_half_of_it() -> None:
    loop = asyncio.get_running_loop()
    async with path(RTT_S) as (relay, server):
        began = loop.time()
        reader, writer = await asyncio.open_connection(HOST, relay.port)
        writer.write(b"first")
        there, back = await server.accepted.get()
        assert await there.readexactly(5) == b"first"
        assert loop.time() - began >= 1.5 * RTT_S - TIMER_S
        began = loop.time()
        back.write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        assert loop.time() - began >= RTT_S / 2 - TIMER_S
        began = loop.time()
        writer.write(b"second")
        assert await there.readexactly(6) == b"second"
        assert loop.time() - began >= RTT_S / 2 - TIMER_S
        back.close()
        writer.close()


@pytest.mark.parametrize("rtt_s", [0.0, 0.004])
async def test_order_is_kept_and_both_directions_end_for_themselves(rtt_s: float) -> None:
    octets = bytes(range(256)) * 4096
    async with path(rtt_s) as (relay, server):
        reader, writer = await asyncio.open_connection(HOST, relay.port)
        for start in range(0, len(octets), 10_000):
            writer.write(octets[start : start + 10_000])
        writer.write_eof()
        there, back = await server.accepted.get()
        assert await there.read() == octets
        back.write(octets)
        back.close()
        assert await reader.read() == octets
        writer.close()


async def test_more_than_may_be_held_waits_at_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delay, "MAX_HELD_BYTES", 100_000)
    octets = b"x" * 1_000_000
    async with path(0.01) as (relay, server):
        _, writer = await asyncio.open_connection(HOST, relay.port)
        writer.write(octets)
        writer.write_eof()
        there, back = await server.accepted.get()
        assert await there.read() == octets
        back.close()
        writer.close()


async def test_a_reset_is_passed_on() -> None:
    async with path(0.004) as (relay, server):
        reader, writer = await asyncio.open_connection(HOST, relay.port)
        writer.write(b"x")
        there, back = await server.accepted.get()
        await there.readexactly(1)
        reset(back.transport)
        with pytest.raises(ConnectionError):
            await reader.read()
        writer.close()


async def test_where_nobody_listens_the_dialler_learns_it() -> None:
    async with path(0.0) as (relay, _), path(0.004) as (broken, _):
        broken.target = (HOST, relay.port)
        await relay.__aexit__(None, None, None)
        reader, writer = await asyncio.open_connection(HOST, broken.port)
        with pytest.raises(ConnectionError):
            assert await reader.read() == b"never"
        writer.close()
        assert broken.counts().connections == 1


async def test_it_counts_connections_handshakes_and_what_is_on_the_wire() -> None:
    async with path(0.0) as (relay, server):
        reader, writer = await asyncio.open_connection(HOST, relay.port)
        writer.write(CLIENT_HELLO)
        there, back = await server.accepted.get()
        await there.readexactly(len(CLIENT_HELLO))
        back.write(b"y" * 10_000)
        await reader.readexactly(10_000)
        _, idle = await asyncio.open_connection(HOST, relay.port)
        _, back_idle = await server.accepted.get()
        counts = relay.counts()
        assert (counts.connections, counts.tls_handshakes, relay.standing) == (2, 1, 2)
        # SYN and SYN-ACK of both, one segment there, seven back; how many ACKs is TCP's choice.
        assert counts.wire.packets >= 4 + 1 + 7
        assert counts.wire.payload_bytes >= len(CLIENT_HELLO)
        for end in (writer, back):
            end.close()
        await reader.read()
        async with asyncio.timeout(5):
            while relay.standing == 2:  # noqa: ASYNC110 - as soon as both ends are closed
                await asyncio.sleep(0)
        counts = relay.counts()
        assert (counts.connections, counts.tls_handshakes, relay.standing) == (2, 1, 1)
        assert counts.wire.payload_bytes >= 10_000 + len(CLIENT_HELLO)
        assert counts.wire.total_bytes == counts.wire.payload_bytes + 52 * counts.wire.packets
        await relay.drop()
        assert (relay.standing, relay.counts()) == (0, delay.Counts())
        for end in (idle, back_idle):
            end.close()


@pytest.mark.parametrize(
    ("octets", "begins"),
    [
        (CLIENT_HELLO, True),
        (CLIENT_HELLO[:5] + b"\x02", False),
        (b"\x17" + CLIENT_HELLO[1:], False),
        (b"<stream:stream", False),
        (b"", False),
    ],
)
def test_tls_begins_with_a_client_hello(octets: bytes, begins: bool) -> None:
    assert is_client_hello(octets) is begins
