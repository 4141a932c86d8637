"""The TLS layer on real sockets: any certificate gets in, and whatever a peer sends has an end."""

import asyncio
import datetime
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from OpenSSL import SSL

from bench.authority import Authority
from router.acceptor.certificates import CertificateStore
from router.acceptor.contexts import client_context
from router.acceptor.credential import read_credential
from router.acceptor.layer import CHUNK_BYTES, Layer
from router.acceptor.plain import PlainLayer
from router.acceptor.tls import TlsError, TlsLayer
from router.acceptor.verdict import Verifier
from tests.support.layers import (
    PATIENCE_S,
    Recorder,
    alone_in_memory,
    in_memory,
    listening,
    on_loopback,
)

MONTAGUE, CAPULET = "montague.example", "capulet.example"
VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)

both_versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def store(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    directory = tmp_path_factory.mktemp("certs")
    authority.issue(MONTAGUE, into=directory, intermediate=True)
    return CertificateStore(directory, [MONTAGUE])


@pytest.fixture(autouse=True)
async def nothing_escapes() -> AsyncIterator[None]:
    """No test may make the loop report an exception that nobody caught."""
    escaped: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    yield
    assert escaped == []


def bare_client(version: str = "TLSv1.3") -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(VERSIONS[version])
    return context


@asynccontextmanager
async def established(
    store: CertificateStore, version: str = "TLSv1.3"
) -> AsyncIterator[tuple[Recorder, Recorder, Layer, Layer]]:
    """Both uppers and both layers of a finished handshake; the accepting side first."""
    async with on_loopback(store.direct_context(), bare_client(version)) as (accepting, connecting):
        await accepting.hears("established")
        await connecting.hears("established")
        assert accepting.layer is not None
        assert connecting.layer is not None
        yield accepting, connecting, accepting.layer, connecting.layer


# --- the handshake lets every certificate in ---


@pytest.mark.clause("TLS-09", "TLS-11", "CRT-05", "CRT-06", "DTL-04")
@both_versions
@pytest.mark.parametrize("direct_tls", [False, True])
@pytest.mark.parametrize(
    ("issued", "reason"),
    [
        (None, "no certificate"),
        ({}, "valid"),
        ({"eku": "both"}, "valid"),
        ({"eku": "none"}, "valid"),
        ({"eku": "client"}, "not for servers"),
        ({"key": "ed25519"}, "valid"),
        ({"key": "rsa2048"}, "valid"),
        ({"intermediate": True}, "valid"),
        ({"self_signed": True}, "self-signed"),
        ({"not_after": LONG_AGO}, "expired on 2020-01-01"),
        ({"dns": ["other.example"]}, "is for other.example, not capulet.example"),
    ],
)
async def test_any_certificate_or_none(
    authority: Authority,
    store: CertificateStore,
    version: str,
    direct_tls: bool,
    issued: dict[str, object] | None,
    reason: str,
) -> None:
    credential = None
    if issued is not None:
        credential = read_credential(*authority.issue(CAPULET, **issued))  # type: ignore[arg-type]
    client = client_context(credential, direct_tls=direct_tls)
    client.set_max_proto_version(VERSIONS[version])
    server = store.direct_context() if direct_tls else store.starttls_context(MONTAGUE)
    async with on_loopback(server, client, MONTAGUE) as (accepting, connecting):
        await accepting.hears("established")
        await connecting.hears("established")
        assert connecting.layer is not None
        connecting.layer.write(b"<?xml version='1.0'?>")
        assert await accepting.receives(21) == b"<?xml version='1.0'?>"

        mine, theirs = accepting.session, connecting.session
        assert mine is not None
        assert theirs is not None
        assert mine.version == theirs.version == version
        assert mine.cipher == theirs.cipher != ""
        assert mine.server_name == MONTAGUE
        assert mine.chain == (credential.chain if credential is not None else ())
        verifier = Verifier(authority.anchors)
        verdict = verifier.evidence(mine.chain).proves(CAPULET)
        assert reason in verdict.reason
        assert verdict.valid is (reason == "valid")

        # the side that connects sees the whole chain of the other, leaf first
        assert len(theirs.chain) == 2
        assert verifier.evidence(theirs.chain).proves(MONTAGUE).valid


async def exchange(port: int, octets: bytes) -> bytes:
    """Send to a port in the clear; returns all that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(octets)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.clause("TLS-05", "DTL-03")
@pytest.mark.parametrize(
    "octets",
    [
        b"<?xml version='1.0'?><stream:stream to='montague.example'>",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + bytes(64),
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x10" + bytes(16),
    ],
)
async def test_anything_but_a_handshake_ends_it(store: CertificateStore, octets: bytes) -> None:
    def accept(transport: asyncio.Transport, upper: Recorder) -> Layer:
        return TlsLayer(transport, store.direct_context(), upper, server_side=True)

    async with listening(accept) as (port, accepting):
        answer = await exchange(port, octets)
        assert answer == b"" or answer[0] == 21  # an alert, and never a word of XML
        assert await accepting.hears("failed")
        await accepting.hears("lost")
        assert accepting.names() == ["failed", "lost"]
        assert accepting.octets == b""


@pytest.mark.clause("TLS-11")
async def test_tls_1_1_gets_an_alert(store: CertificateStore) -> None:
    outgoing = ssl.MemoryBIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    client = old.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=MONTAGUE)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()

    accepting, server_end = alone_in_memory(store.direct_context())
    server_end.deliver(outgoing.read())
    assert accepting.heard == [("failed", "unsupported protocol")]
    assert server_end.sent[0] == 21
    assert server_end.sent[-2:] == bytes((2, 70))  # fatal, protocol_version


@pytest.mark.clause("TLS-11")
async def test_renegotiation_is_refused_and_leaves_nothing_behind(store: CertificateStore) -> None:
    accepting, server_end = alone_in_memory(store.direct_context())
    client = SSL.Connection(bare_client("TLSv1.2"), None)
    client.set_connect_state()

    def carry() -> None:
        try:
            client.do_handshake()
        except SSL.WantReadError:
            server_end.deliver(client.bio_read(65_536))
            client.bio_write(server_end.sent)
            server_end.sent = b""

    while "established" not in accepting.names():
        carry()
    client.do_handshake()
    client.renegotiate()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    server_end.deliver(client.bio_read(65_536))
    assert server_end.sent  # told no at once, not when there is next something to send
    client.bio_write(server_end.sent)
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.do_handshake()
    assert accepting.names() == ["established"]


@pytest.mark.clause("TLS-05")
async def test_a_connection_closed_during_the_handshake(store: CertificateStore) -> None:
    def accept(transport: asyncio.Transport, upper: Recorder) -> Layer:
        return TlsLayer(transport, store.direct_context(), upper, server_side=True)

    async with listening(accept) as (port, accepting):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01")
        writer.close()
        assert await accepting.hears("failed") == "connection closed during the handshake"
        await accepting.hears("lost")
        assert accepting.names() == ["failed", "lost"]


async def test_octets_read_early_belong_to_the_handshake(store: CertificateStore) -> None:
    """Direct TLS on a transport whose first octets another protocol has read already."""
    client = SSL.Connection(bare_client(), None)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    early = client.bio_read(65_536)

    def accept(transport: asyncio.Transport, upper: Recorder) -> Layer:
        layer = TlsLayer(transport, store.direct_context(), upper, server_side=True, early=early)
        assert upper.heard == []
        return layer

    async with listening(accept) as (port, accepting):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                client.bio_write(await reader.read(65_536))
                try:
                    client.do_handshake()
                except SSL.WantReadError:
                    continue
                break
        client.send(b"hello")
        writer.write(client.bio_read(65_536))
        assert await accepting.receives(5) == b"hello"
        writer.close()


# --- STARTTLS: one layer in place of another ---


@pytest.mark.clause("TLS-01")
async def test_tls_takes_the_place_of_plaintext(store: CertificateStore) -> None:
    loop = asyncio.get_running_loop()

    def switch(upper: Recorder, on: bytes, make: Callable[[Layer], Layer]) -> None:
        def seen(octets: bytes) -> None:
            if octets == on:
                assert upper.layer is not None
                upper.layer = make(upper.layer)

        upper.on_data = seen

    def accept(transport: asyncio.Transport, upper: Recorder) -> Layer:
        def to_tls(layer: Layer) -> Layer:
            layer.write(b"<proceed/>")
            layer.flush()
            context = store.starttls_context(MONTAGUE)
            before = layer.written()
            assert before == 10
            return TlsLayer(transport, context, upper, server_side=True, written_before=before)

        switch(upper, b"<starttls/>", to_tls)
        return PlainLayer(transport, upper)

    async with listening(accept) as (port, accepting):
        connecting = Recorder()
        switch(
            connecting,
            b"<proceed/>",
            lambda layer: TlsLayer(layer.transport, bare_client(), connecting, server_side=False),
        )
        transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
        layer = connecting.layer = PlainLayer(transport, connecting)
        layer.write(b"<starttls/>")
        await connecting.hears("established")
        await accepting.hears("established")
        assert accepting.layer is not None
        assert connecting.layer is not layer
        connecting.layer.write(b"secret")
        assert await accepting.receives(17) == b"<starttls/>secret"
        accepting.layer.write(b"answer")
        assert await connecting.receives(16) == b"<proceed/>answer"
        assert accepting.layer.written() > 10 + 6
        connecting.layer.abort()
        await connecting.hears("lost")


# --- data ---


@both_versions
async def test_the_writes_of_one_turn_are_one_record(store: CertificateStore, version: str) -> None:
    async with established(store, version) as (accepting, _, _, layer):
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
    async with established(store) as (_, _, _, layer):
        layer.write(b"now")
        before = layer.written()
        layer.flush()
        assert layer.written() > before


@both_versions
async def test_much_data_arrives_whole_in_few_pieces(store: CertificateStore, version: str) -> None:
    sent = bytes(range(256)) * 8192
    async with established(store, version) as (accepting, connecting, server, client):
        client.write(sent)
        server.write(sent)
        assert await accepting.receives(len(sent)) == sent
        assert await connecting.receives(len(sent)) == sent
        assert max(map(len, accepting.chunks)) <= CHUNK_BYTES


async def test_all_records_of_one_read_go_up_as_one(store: CertificateStore) -> None:
    async with established(store) as (accepting, _, _, client):
        for part in (b"a", b"b", b"c"):
            client.write(part)
            client.flush()  # a record each, in one segment
        await accepting.receives(3)
        assert accepting.chunks == [b"abc"]


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
    async with established(store) as (accepting, connecting, server, client):
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
    async with established(store, version) as (accepting, connecting, _, client):
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
    async with established(store, version) as (accepting, _, server, client):
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
    async with established(store, version) as (accepting, connecting, _, client):
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
    async with established(store) as (accepting, connecting, server, client):

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
    async with established(store) as (accepting, _, server, client):
        raw = cast(asyncio.Transport, client.transport).get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.abort()
        await accepting.until(lambda: len(accepting.heard) > 1)
        server.abort()
        await accepting.hears("lost")
        assert accepting.names().count("lost") == 1


def test_contexts_are_not_resumable(store: CertificateStore, tmp_path: Path) -> None:
    for context in (store.direct_context(), store.client_context(MONTAGUE)):
        assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF
