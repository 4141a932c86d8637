"""One socket and its core: octets and events in order, TLS put under it, time, and the end."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.authority import Authority
from router.acceptor.certificates.store import CertificateStore
from router.acceptor.connection import Connection
from router.wire.frames import Forward, Progress, Returned
from router.xmpp.errors import MisuseError
from router.xmpp.events import Event, RunReceived, StreamClosed
from router.xmpp.receiving import ReceivingStream
from router.xmpp.stanza import Counts
from router.xmpp.xmlstream import XmlStream
from tests.support.acceptors import HOST, Hub, over_tcp, read_exactly, wired
from tests.support.eventually import eventually
from tests.support.nodes import certificate
from tests.support.pump import (
    CAPULET,
    MONTAGUE,
    NOW,
    PAIR,
    STARTTLS,
    authenticated,
    header,
    ids,
    policy,
)
from tests.support.scripted_peer import Peer, Wire

END = "</stream:stream>"
IMPATIENT = policy(MONTAGUE, close_timeout_s=0.01)
MESSAGE = f"<message from='{CAPULET}' to='{MONTAGUE}'/>"


def fresh(**changes: object) -> ReceivingStream:
    """A stream that a peer is about to begin, with all the time there is."""
    return ReceivingStream(policy(MONTAGUE, handshake_timeout_s=1e9, **changes), ids(), NOW)


def outgoing(octets: bytes, first: int = 1, count: int = 1) -> Forward:
    """A run of ours for the peer."""
    return Forward("a0.1", 5, 1, first, Counts(count, 0, 0), PAIR, 1, 1, 0, octets)


def send(connection: Connection, frame: Forward) -> None:
    connection.outlet.take(frame, frame.counts.total)
    connection.send_run(frame.pair, frame.octets, frame.counts.total)


def done(connection: Connection) -> int:
    """How far the lane is said to have got."""
    connection.poll_acknowledged()
    reports = [frame for _, frame in connection.outlet.reports()]
    return max((frame.done for frame in reports), default=0)


def reset(peer: socket.socket) -> None:
    """End the peer's side with a RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# --- octets and events ---


async def test_what_the_peer_says_becomes_events_and_answers() -> None:
    hub = Hub()
    connection, transport = wired(fresh(), hub)
    assert hub.names() == ["opened"]
    assert connection.address == "192.0.2.1:5269"
    transport.feed(header())
    said = await transport.said()
    assert f"from='{MONTAGUE}'" in said
    assert STARTTLS[:9] in said


async def test_the_peer_is_answered_before_the_hub_is_told() -> None:
    """What a hub does because of an event is said after what the core itself had to say."""
    core = authenticated(bidi=True)

    class Writing(Hub):
        def happened(self, connection: Connection, event: object) -> None:
            super().happened(connection, event)  # type: ignore[arg-type]
            if isinstance(event, RunReceived):
                connection.send_run(PAIR, b"<message id='because'/>", 1)

    connection, transport = wired(core, Writing())
    key = f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>"
    transport.feed(key + MESSAGE)
    said = await transport.said()
    assert 0 <= said.index("<db:result") < said.index("<message id='because'/>")
    assert connection.end is None


async def test_an_unknown_address_is_none() -> None:
    connection, transport = wired(fresh())
    transport._address = None
    connection.connected(transport)  # type: ignore[arg-type]
    assert connection.address == ""


@pytest.mark.clause("ERR-01")
async def test_what_comes_after_the_end_is_not_heard() -> None:
    hub = Hub()
    connection, transport = wired(authenticated(), hub)
    transport.feed(f"<message from='tybalt.example' to='{MONTAGUE}'/>")
    assert connection.end is not None
    assert connection.end.condition == "invalid-from"
    heard = list(hub.heard)
    connection.data_received(MESSAGE.encode())
    connection.eof_received(clean=True)
    assert hub.heard == heard
    assert (await transport.said()).endswith(END)


async def test_only_pairs_that_may_leave_here_leave() -> None:
    connection, transport = wired(authenticated(bidi=True))
    assert connection.may_send(PAIR)
    assert not connection.may_send(PAIR.inverse())
    transport.feed(END)
    assert not connection.may_send(PAIR)
    with pytest.raises(MisuseError):
        connection.send_run(PAIR, b"<message/>", 1)


# --- the end ---


async def test_an_orderly_close_is_said_at_once_and_ends_with_the_peers_tag() -> None:
    hub = Hub()
    connection, transport = wired(authenticated(), hub)
    connection.close()
    assert hub.names() == ["opened", "closing"]
    connection.close()
    transport.feed(MESSAGE + END)
    assert (await transport.said()).count(END) == 1
    await hub.until(lambda: "lost" in hub.names())
    assert hub.names() == ["opened", "closing", "event", "event", "lost"]
    assert [type(event) for event in hub.events()] == [RunReceived, StreamClosed]


async def test_closing_is_said_before_the_end_whoever_ends() -> None:
    hub = Hub()
    _, transport = wired(authenticated(), hub)
    transport.feed(END)
    assert hub.names() == ["opened", "closing", "event"]
    await hub.until(lambda: "lost" in hub.names())
    assert transport.is_closed


async def test_a_peer_that_never_answers_our_tag_is_left() -> None:
    hub = Hub()
    connection, _ = wired(authenticated(IMPATIENT), hub)
    connection.close()
    await hub.until(lambda: "lost" in hub.names())
    (closed,) = hub.events()
    assert closed == StreamClosed(None, False, "no closing tag from the peer")


async def test_deadlines_follow_the_core() -> None:
    """A deadline that has passed already is no trouble, nor are several of them in a row."""
    hub = Hub()
    core = ReceivingStream(policy(MONTAGUE, handshake_timeout_s=0.0), ids(), 0.0)
    connection, transport = wired(core, hub)
    connection.act([])
    transport.feed("<?xml version='1.0'?>")
    await hub.until(lambda: "lost" in hub.names())
    (closed,) = hub.events()
    assert isinstance(closed, StreamClosed)
    assert closed.condition == "policy-violation"


async def test_a_timer_that_is_early_is_set_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop counts in milliseconds, the core does not: it may say that it is not time yet."""
    hub = Hub()
    core = ReceivingStream(policy(MONTAGUE, handshake_timeout_s=0.0), ids(), 0.0)
    passed = core.deadline_passed
    calls = 0

    def not_yet(now: float) -> list[Event]:
        nonlocal calls
        calls += 1
        return [] if calls == 1 else passed(now)

    monkeypatch.setattr(core, "deadline_passed", not_yet)
    wired(core, hub)
    await hub.until(lambda: "lost" in hub.names())
    assert calls == 2


@pytest.mark.clause("TLS-02")
async def test_an_attack_is_left_without_a_word() -> None:
    hub = Hub()
    connection, transport = wired(fresh(), hub)
    transport.feed(header())
    said = await transport.said()
    transport.feed(STARTTLS + "<message/>")
    await hub.until(lambda: "lost" in hub.names())
    assert connection.end is not None
    assert connection.end.abrupt
    assert transport.is_aborted
    assert await transport.said() == said


async def test_a_connection_that_breaks_off_ends_its_stream() -> None:
    hub = Hub()
    connection, transport = wired(authenticated(), hub)
    transport.close()
    await hub.until(lambda: "lost" in hub.names())
    (closed,) = hub.events()
    assert closed == connection.end
    assert isinstance(closed, StreamClosed)
    assert closed.abrupt


async def test_a_connection_that_was_not_admitted_never_begins() -> None:
    hub = Hub()
    connection = Connection(
        hub,
        asyncio.get_running_loop(),
        fresh(),
        number=1,
        direction="in",
        leg="s2s",
        tls_context=None,
    )
    connection.refused()
    assert hub.names() == ["lost"]


# --- pausing ---


async def test_reading_pauses_and_resumes_once_each() -> None:
    connection, transport = wired(authenticated())
    connection.resume_reading()
    connection.pause_reading()
    connection.pause_reading()
    assert transport.is_paused
    connection.resume_reading()
    assert not transport.is_paused


async def test_a_paused_stream_that_ends_is_left_alone() -> None:
    connection, transport = wired(authenticated())
    transport.feed(END)
    connection.pause_reading()
    assert not transport.is_paused


# --- TLS ---


@pytest.fixture
def store(issuer: Authority) -> CertificateStore:
    return CertificateStore(issuer.directory, [MONTAGUE])


def capulet(issuer: Authority) -> Peer:
    """Who presents the certificate of capulet.example."""
    return Peer(CAPULET, MONTAGUE, certificate(issuer, CAPULET), presents_certificate=True)


@asynccontextmanager
async def dialled(connection: Connection) -> AsyncIterator[Wire]:
    """A peer that opened this connection; at the end it is gone on both sides."""
    loop = asyncio.get_running_loop()

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connection.connected(transport)  # type: ignore[arg-type]

    server = await loop.create_server(Accepting, HOST, 0)
    wire = Wire(*await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1]))
    try:
        yield wire
    finally:
        await wire.close()
        connection.abort()
        server.close()
        await server.wait_closed()


def with_tls(
    hub: Hub, core: XmlStream, store: CertificateStore, *, direct: bool = False
) -> Connection:
    return Connection(
        hub,
        asyncio.get_running_loop(),
        core,
        number=1,
        direction="in",
        leg="s2s",
        tls_context=store.direct_context if direct else lambda: store.starttls_context(MONTAGUE),
        direct_tls=direct,
    )


async def test_tls_comes_under_the_stream_between_proceed_and_a_new_header(
    store: CertificateStore, issuer: Authority
) -> None:
    hub = Hub()
    connection = with_tls(hub, fresh(), store)
    async with dialled(connection) as wire:
        await wire.send(header())
        await wire.until("</stream:features>")
        await wire.send(STARTTLS)
        await wire.until("<proceed")
        await wire.until(">")
        peer = capulet(issuer)
        await wire.start_tls(peer.client_context(), MONTAGUE)
        await wire.send(header())
        await wire.until("</stream:features>")
        assert hub.names() == ["opened", "tls", "evidence"]
        assert connection.session is not None
        (leaf, *_) = connection.session.chain
        assert CAPULET in str(leaf.subject)
        assert connection.core.is_encrypted()


async def test_direct_tls_begins_at_once(store: CertificateStore, issuer: Authority) -> None:
    hub = Hub()
    core = ReceivingStream(policy(MONTAGUE, handshake_timeout_s=1e9), ids(), NOW, direct_tls=True)
    connection = with_tls(hub, core, store, direct=True)
    async with dialled(connection) as wire:
        await wire.start_tls(capulet(issuer).client_context(), MONTAGUE)
        await wire.send(header())
        await wire.until("</stream:features>")
        assert hub.names() == ["opened", "tls", "evidence"]


@pytest.mark.clause("TLS-05")
async def test_a_handshake_that_fails_ends_the_connection_without_a_word(
    store: CertificateStore,
) -> None:
    hub = Hub()
    connection = with_tls(hub, fresh(), store)
    async with dialled(connection) as wire:
        await wire.send(header() + STARTTLS)
        await wire.until("<proceed")
        await wire.send("this is no handshake")
        assert END not in await wire.ended()
        await hub.until(lambda: "lost" in hub.names())
    assert connection.session is None
    ((_, reason),) = [each for each in hub.heard if each[0] == "tls"]
    assert reason == connection.tls_failure != ""


async def test_a_leg_without_tls_is_never_asked_for_it() -> None:
    connection, transport = wired(fresh())
    with pytest.raises(MisuseError):
        transport.feed(header() + STARTTLS)
    connection.abort()


# --- what has arrived ---


async def test_a_run_is_done_when_the_peers_kernel_has_it() -> None:
    connection, _ = wired_later(authenticated(bidi=True))
    async with over_tcp(connection, receive_bytes=16_384) as peer:
        small, large = outgoing(b"<message/>"), outgoing(b" " * 1_000_000, first=2)
        send(connection, small)
        await eventually(lambda: done(connection) == 1)
        send(connection, large)
        assert await read_exactly(peer, 1000)
        assert (done(connection), connection.outlet.is_unacknowledged()) == (1, True)
        await read_exactly(peer, len(small.octets) + len(large.octets) - 1000)
        await eventually(lambda: done(connection) == 2)
        assert not connection.outlet.is_unacknowledged()


async def test_what_a_reset_peer_had_acknowledged_is_done_and_the_rest_in_doubt() -> None:
    connection, hub = wired_later(authenticated(bidi=True))
    async with over_tcp(connection, receive_bytes=16_384) as peer:
        send(connection, outgoing(b"<message/>"))
        await read_exactly(peer, 10)
        await acknowledged(connection, 10)
        send(connection, outgoing(b" " * 1_000_000, first=2))
        await read_exactly(peer, 1)
        reset(peer)
        await hub.until(lambda: "lost" in hub.names())
        assert [frame.done for _, frame in connection.outlet.reports()] == [1]
        assert list(connection.outlet.close()) == [("a0.1", Returned(5, 1, 2, 2))]


async def test_the_socket_stays_until_what_was_written_has_arrived() -> None:
    """A peer that ends its stream still gets all of it, and nothing is in doubt afterwards."""
    connection, hub = wired_later(authenticated(bidi=True))
    async with over_tcp(connection, receive_bytes=16_384) as peer:
        send(connection, outgoing(b" " * 1_000_000))
        peer.send(END.encode())
        await hub.until(lambda: connection.end is not None)
        await read_exactly(peer, 1_000_000)
        await hub.until(lambda: "lost" in hub.names())
        assert list(connection.outlet.reports()) == [("a0.1", Progress(5, 1, 1, 1, 1, "tcp"))]
        assert list(connection.outlet.close()) == [("a0.1", Returned(5, 1, 2, 1))]


def wired_later(core: XmlStream) -> tuple[Connection, Hub]:
    """A connection that is about to be connected, and its hub."""
    hub = Hub()
    connection = Connection(
        hub,
        asyncio.get_running_loop(),
        core,
        number=1,
        direction="in",
        leg="s2s",
        tls_context=None,
    )
    return connection, hub


async def acknowledged(connection: Connection, count: int) -> None:
    """Wait until our kernel has heard of the peer's that so many octets arrived."""
    before = connection._acked_at_start
    await eventually(lambda: connection._tcp_acked() - before >= count)
