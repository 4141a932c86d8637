"""What goes up and what comes down, over TLS; `test_plain` has what differs without."""

import asyncio
import socket
from random import Random
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from bench.authority import Authority
from router.acceptor.certificates.store import CertificateStore
from router.acceptor.layer import CHUNK_BYTES, Layer
from router.acceptor.tls import TlsError, TlsLayer
from tests.support.layers import (
    CAPULET,
    PATIENCE_S,
    VERSIONS,
    Pipe,
    Recorder,
    alone_in_memory,
    bare_client,
    established,
    in_memory,
    listening,
    on_loopback,
    shaken_hands,
)

pytestmark = pytest.mark.usefixtures("nothing_escapes")
both_versions = pytest.mark.parametrize("version", VERSIONS)


# --- data ---


@both_versions
async def test_the_writes_of_one_turn_are_one_record(store: CertificateStore, version: str) -> None:
    async with established(store.direct_context(), version) as (accepting, _, _, layer):
        layer.flush()
        before = layer.written()
        flushed: list[int] = []
        layer.on_flush = flushed.append
        for _ in range(100):
            layer.write(b"<message/>")
        assert layer.buffered() >= 1000
        assert layer.written() == before
        assert await accepting.receives(1000) == b"<message/>" * 100
        assert accepting.chunks == [b"<message/>" * 100]
        assert flushed == [layer.written()]
        assert 1000 < layer.written() - before < 1000 + 40


async def test_flush_does_not_wait_for_the_turn_to_end(store: CertificateStore) -> None:
    async with established(store.direct_context()) as (_, _, _, layer):
        layer.write(b"now")
        before = layer.written()
        layer.flush()
        assert layer.written() > before


@both_versions
async def test_much_data_arrives_whole_in_few_pieces(store: CertificateStore, version: str) -> None:
    sent = bytes(range(256)) * 8192
    async with established(store.direct_context(), version) as (
        accepting,
        connecting,
        server,
        client,
    ):
        client.write(sent)
        server.write(sent)
        assert await accepting.receives(len(sent)) == sent
        assert await connecting.receives(len(sent)) == sent
        assert max(map(len, accepting.chunks)) <= CHUNK_BYTES


async def test_all_records_of_one_read_go_up_as_one(store: CertificateStore) -> None:
    async with established(store.direct_context()) as (accepting, _, _, client):
        for part in (b"a", b"b", b"c"):
            client.write(part)
            client.flush()  # a record each, in one segment
        await accepting.receives(3)
        assert accepting.chunks == [b"abc"]


def read_of_more_than_a_chunk(accepting: Recorder, server_end: Pipe) -> tuple[bytes, int]:
    """Begin a record; returns a read that completes it and goes on, and the octets in all."""
    client = shaken_hands(accepting, server_end)
    sizes = [16_384, 16_000, 16_000, 16_000, 16_000]
    records = []
    for size in sizes:
        client.send(bytes(size))
        records.append(client.bio_read(20_000))
    server_end.deliver(records[0][:-1])
    rest = records[0][-1:] + b"".join(records[1:])
    assert len(rest) <= CHUNK_BYTES < sum(sizes)
    return rest, sum(sizes)


async def test_no_chunk_is_larger_than_promised(store: CertificateStore) -> None:
    accepting, server_end = alone_in_memory(store.direct_context())
    read, total = read_of_more_than_a_chunk(accepting, server_end)
    server_end.deliver(read)
    assert len(accepting.octets) == total
    assert max(map(len, accepting.chunks)) <= CHUNK_BYTES


async def test_an_ending_between_two_chunks(store: CertificateStore) -> None:
    accepting, server_end = alone_in_memory(store.direct_context())
    read, _ = read_of_more_than_a_chunk(accepting, server_end)
    assert accepting.layer is not None
    layer = accepting.layer
    accepting.on_data = lambda _: layer.close()
    server_end.deliver(read)
    assert len(accepting.chunks) == 1


async def test_an_end_is_told_once(store: CertificateStore) -> None:
    """First close_notify, then the FIN of TCP."""
    accepting, server_end = alone_in_memory(store.direct_context())
    client = shaken_hands(accepting, server_end)
    client.shutdown()
    server_end.deliver(client.bio_read(100))
    server_end.end()
    assert accepting.heard == [("established", None), ("eof", True)]


async def test_written_counts_what_tcp_carries(store: CertificateStore) -> None:
    accepting, connecting, server_end, client_end = in_memory(store.direct_context(), bare_client())
    await accepting.hears("established")
    for upper, end in ((accepting, server_end), (connecting, client_end)):
        assert upper.layer is not None
        upper.layer.write(b"x" * 100_000)
        upper.layer.flush()
        assert upper.layer.written() == len(end.sent)


async def test_what_is_written_before_the_handshake_ends_waits_for_it(
    store: CertificateStore,
) -> None:
    accepting, connecting, _, client_end = in_memory(store.direct_context(), bare_client())
    assert connecting.layer is not None
    connecting.layer.write(b"early bird")
    connecting.layer.flush()
    assert client_end.sent == b""
    assert connecting.layer.buffered() == 10
    assert await accepting.receives(10) == b"early bird"


async def test_back_pressure_reaches_both_sides(store: CertificateStore) -> None:
    async with established(store.direct_context()) as (accepting, connecting, server, client):
        server.pause_reading()
        sent = 0
        while "pause" not in connecting.names():
            client.write(bytes(1_000_000))
            client.flush()
            sent += 1_000_000
            assert sent < 100_000_000
            await asyncio.sleep(0)
        assert client.buffered() > 0
        assert accepting.chunks == []
        server.resume_reading()
        await connecting.hears("resume")
        await accepting.receives(sent)
        assert client.buffered() == 0


# --- endings ---


@both_versions
async def test_close_says_goodbye_and_delivers_the_rest(
    store: CertificateStore, version: str
) -> None:
    async with established(store.direct_context(), version) as (accepting, connecting, _, client):
        client.write(b"</stream:stream>")
        client.close()
        client.write(b"too late")
        assert await accepting.hears("eof") is True
        assert accepting.octets == b"</stream:stream>"
        assert await connecting.hears("lost") is None
        assert connecting.names() == ["established", "lost"]
        assert accepting.names().count("eof") == 1


@both_versions
async def test_an_end_without_goodbye_is_a_truncation(
    store: CertificateStore, version: str
) -> None:
    async with established(store.direct_context(), version) as (accepting, _, server, client):
        cast(asyncio.Transport, client.transport).write_eof()
        assert await accepting.hears("eof") is False
        assert accepting.names() == ["established", "eof"]
        server.close()
        await accepting.hears("lost")
        assert accepting.names() == ["established", "eof", "lost"]


async def test_after_an_end_of_the_peer_we_still_write(store: CertificateStore) -> None:
    """A peer that has sent its closing tag and its FIN still waits for ours."""
    client = SSL.Connection(bare_client(), None)
    client.set_connect_state()

    def accept(transport: asyncio.Transport, upper: Recorder) -> Layer:
        return TlsLayer(transport, store.direct_context(), upper, server_side=True)

    async with listening(accept) as (port, accepting):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE_S):
            while "established" not in accepting.names():
                try:
                    client.do_handshake()
                except SSL.WantReadError:
                    writer.write(client.bio_read(65_536))
                    client.bio_write(await reader.read(65_536))
                else:
                    writer.write(client.bio_read(65_536))
                    await accepting.hears("established")
            client.shutdown()
            writer.write(client.bio_read(65_536))
            writer.write_eof()
            assert await accepting.hears("eof") is True
            assert accepting.layer is not None
            accepting.layer.write(b"</stream:stream>")
            accepting.layer.close()
            client.bio_write(await reader.read())
            assert client.recv(100) == b"</stream:stream>"
            writer.close()


@both_versions
async def test_damaged_ciphertext_ends_the_connection(
    store: CertificateStore, version: str
) -> None:
    async with established(store.direct_context(), version) as (accepting, connecting, _, client):
        client.transport.write(b"\x17\x03\x03\x00\x40" + bytes(64))
        error = await accepting.hears("lost")
        assert isinstance(error, TlsError)
        assert str(error)
        assert accepting.names() == ["established", "lost"]
        assert accepting.octets == b""
        # the peer is told by alert
        assert isinstance(await connecting.hears("lost"), TlsError)


async def test_a_peer_that_wants_another_certificate_says_so_late(
    authority: Authority, store: CertificateStore
) -> None:
    """TLS 1.3: we are through with the handshake before the peer judges our certificate."""
    certificate, key = authority.issue("strict.example")
    strict = SSL.Context(SSL.TLS_METHOD)
    strict.use_certificate_chain_file(str(certificate))
    strict.use_privatekey_file(str(key))
    strict.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    async with on_loopback(strict, store.client_context("unknown.example")) as (_, connecting):
        error = await connecting.hears("lost")
        assert isinstance(error, TlsError)
        assert "certificate required" in str(error)
        assert connecting.names() == ["established", "lost"]


@pytest.mark.parametrize("ending", ["close", "abort"])
async def test_after_an_ending_only_the_loss_is_told(store: CertificateStore, ending: str) -> None:
    async with established(store.direct_context()) as (accepting, connecting, server, client):

        def end_it(_: bytes) -> None:
            getattr(server, ending)()

        accepting.on_data = end_it
        for _ in range(4):
            client.write(bytes(100_000))
        await accepting.hears("lost")
        assert accepting.names() == ["established", "lost"]
        assert len(accepting.chunks) == 1
        await connecting.until(lambda: "eof" in connecting.names() or "lost" in connecting.names())


async def test_abort_during_the_handshake(store: CertificateStore) -> None:
    accepting, connecting, _, client_end = in_memory(store.direct_context(), bare_client())
    assert connecting.layer is not None
    connecting.layer.abort()
    await accepting.hears("failed")
    await connecting.hears("lost")
    assert connecting.names() == ["lost"]
    assert client_end.sent == b""


async def test_a_reset_is_a_loss(store: CertificateStore) -> None:
    async with established(store.direct_context()) as (accepting, _, server, client):
        raw = cast(asyncio.Transport, client.transport).get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.abort()
        await accepting.until(lambda: len(accepting.heard) > 1)
        server.abort()
        await accepting.hears("lost")
        assert accepting.names().count("lost") == 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damage_on_the_way_ends_in_an_ending(store: CertificateStore, seed: int) -> None:
    """Any octets flipped or cut in either direction: no exception, one handshake, one loss."""
    chance = Random(seed)  # the length of a flight is not ours to repeat, so Hypothesis draws this

    def damage(octets: bytes) -> bytes:
        if chance.random() < 0.3:
            flipped = bytearray(octets)
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            octets = bytes(flipped)[: chance.randrange(1, 2 * len(flipped))]
        return octets

    async def converse() -> None:
        escaped: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: escaped.append(what))
        *uppers, here, there = in_memory(store.direct_context(), store.client_context(CAPULET))
        here.on_the_way = there.on_the_way = damage
        for _ in range(12):
            for upper in uppers:
                assert upper.layer is not None
                upper.layer.write(b"<message/>")
            await asyncio.sleep(0)
        for upper in uppers:
            assert upper.layer is not None
            upper.layer.close()
            await upper.hears("lost")
            names = upper.names()
            assert names.index("lost") == len(names) - 1
            assert names.count("established") + names.count("failed") <= 1
        assert escaped == []

    asyncio.run(converse())
