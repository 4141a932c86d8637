"""The TLS handshake on real sockets: any certificate gets in, and anything else has an end."""

import asyncio
import datetime
import random
from collections.abc import Callable
from typing import Any

import pytest
from OpenSSL import SSL

from bench.authority import Authority
from router.acceptor.certificates.contexts import client_context
from router.acceptor.certificates.credential import read_credential
from router.acceptor.certificates.store import CertificateStore
from router.acceptor.certificates.verdict import Verifier
from router.acceptor.layer import Layer
from router.acceptor.plain import PlainLayer
from router.acceptor.tls import TlsLayer
from tests.support.layers import (
    CAPULET,
    MONTAGUE,
    PATIENCE_S,
    VERSIONS,
    Pipe,
    Recorder,
    alone_in_memory,
    bare_client,
    listening,
    on_loopback,
    shaken_hands,
)

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)

pytestmark = pytest.mark.usefixtures("nothing_escapes")
both_versions = pytest.mark.parametrize("version", VERSIONS)


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
    issued: dict[str, Any] | None,
    reason: str,
) -> None:
    credential = None
    if issued is not None:
        credential = read_credential(*authority.issue(CAPULET, **issued))
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


@pytest.mark.parametrize("version", VERSIONS)
async def test_records_without_data_are_counted_and_too_many_end_it(
    store: CertificateStore, version: str
) -> None:
    """Reliability B3. An octet a record stands for KeyUpdates, which cost us the same way."""
    accepting, server_end = alone_in_memory(store.direct_context())
    client = shaken_hands(accepting, server_end, version)
    sent = 0
    while "lost" not in accepting.names() and sent < 20_000:
        for _ in range(100):
            client.send(b" ")
        sent += 100
        server_end.deliver(client.bio_read(65_536))
        await asyncio.sleep(0)
    assert 3_000 < sent < 15_000
    assert "too many records without data" in str(accepting.heard[-1][1])


async def test_small_records_of_small_stanzas_are_no_flood(store: CertificateStore) -> None:
    accepting, server_end = alone_in_memory(store.direct_context())
    client = shaken_hands(accepting, server_end)
    for _ in range(20_000):
        client.send(b"<presence/>")
        server_end.deliver(client.bio_read(65_536))
    assert len(accepting.octets) == 11 * 20_000


# --- OpenSSL is not asked for what it cannot have ---


@pytest.mark.parametrize(("version", "flights"), [("TLSv1.2", 2), ("TLSv1.3", 1)])
async def test_session_tickets_leave_with_the_first_data(
    store: CertificateStore, monkeypatch: pytest.MonkeyPatch, version: str, flights: int
) -> None:
    """Nobody waits for them. In TLS 1.2 what the server sends last is its Finished."""
    written: list[bytes] = []
    write = Pipe.write

    def noted(pipe: Pipe, data: bytes) -> None:
        written.append(data)
        write(pipe, data)

    monkeypatch.setattr(Pipe, "write", noted)
    accepting, server_end = alone_in_memory(store.direct_context())
    client = shaken_hands(accepting, server_end, version)
    assert len(written) == flights
    assert accepting.layer is not None
    accepting.layer.write(b"<stream:features/>")
    accepting.layer.flush()
    assert len(written) == flights + 1
    client.bio_write(written[-1])
    assert client.recv(100) == b"<stream:features/>"


@pytest.mark.parametrize("version", VERSIONS)
async def test_records_go_up_when_they_are_whole_however_they_are_cut(
    store: CertificateStore, version: str
) -> None:
    """Also those that OpenSSL answers or keeps to itself, and the last one, which ends it."""
    chance = random.Random(7)
    for _ in range(10):
        accepting, server_end = alone_in_memory(store.direct_context())
        client = shaken_hands(accepting, server_end, version)
        ends: list[tuple[int, int]] = []
        plain, cipher = b"", b""
        for _ in range(20):
            octets = bytes(chance.choice((0, 1, 2, 5, 24, 100)) + 1)
            client.send(octets)
            plain += octets
            cipher += client.bio_read(65_536)
            ends.append((len(cipher), len(plain)))
        client.shutdown()
        cipher += client.bio_read(65_536)
        at = 0
        while at < len(cipher):
            before, at = at, at + chance.choice((1, 5, 21, 22, 23, 24, 46, 122, 400))
            server_end.deliver(cipher[before:at])
            whole = [given for seen, given in ends if seen <= at]
            assert len(accepting.octets) == (whole[-1] if whole else 0)
        assert accepting.heard[-1] == ("eof", True)


async def test_a_lone_record_is_taken_without_a_second_look(
    store: CertificateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepting, server_end = alone_in_memory(store.direct_context())
    client = shaken_hands(accepting, server_end)
    asked: list[int] = []
    recv = SSL.Connection.recv

    def counted(connection: SSL.Connection, most: int) -> bytes:
        asked.append(most)
        return recv(connection, most)

    monkeypatch.setattr(SSL.Connection, "recv", counted)
    for _ in range(3):
        client.send(b"<presence/>")
        server_end.deliver(client.bio_read(65_536))
    assert accepting.octets == b"<presence/>" * 3
    assert len(asked) == 3


async def test_a_record_that_began_with_the_handshake_hides_none_behind_it(
    store: CertificateStore,
) -> None:
    """As many octets came as a record has, but they are not that record's."""
    accepting, server_end = alone_in_memory(store.direct_context())
    client = SSL.Connection(bare_client(), None)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    server_end.deliver(client.bio_read(65_536))
    client.bio_write(server_end.sent)
    client.do_handshake()
    flight = client.bio_read(65_536)
    client.send(b"<presence/>")
    record = client.bio_read(65_536)
    client.shutdown()
    goodbye = client.bio_read(65_536)
    begun = len(goodbye)
    server_end.deliver(flight + record[:begun])
    server_end.deliver(record[begun:] + goodbye)
    assert accepting.octets == b"<presence/>"
    assert accepting.heard[-1] == ("eof", True)
