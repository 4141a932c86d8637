"""Idle, dead and deaf peers, over real sockets: told apart by what their kernels acknowledge."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from router.acceptor.connection import Connection
from router.acceptor.liveness import Liveness
from router.config import Limits
from router.wire.frames import Forward
from router.xmpp.stanza import Counts
from tests.support.acceptors import Hub, connection_of, over_tcp, read_exactly
from tests.support.pump import MONTAGUE, PAIR, authenticated, inbound, policy

NEVER_S = 86_400.0
PATIENT = Limits(idle_check_s=NEVER_S, unanswered_check_s=NEVER_S, unread_output_s=NEVER_S)
LARGE = b"<message/>" * 100_000


class Deaf:
    """A peer's kernel that has stopped answering, as `Connection` sees it."""

    def __init__(self, connection: Connection) -> None:
        written, acknowledged = connection.output()
        connection.output = lambda: (written + 1, acknowledged)  # type: ignore[method-assign]
        connection.silent_s = lambda: NEVER_S  # type: ignore[method-assign]


@asynccontextmanager
async def watched(
    limits: Limits, receive_bytes: int = 0, **settings: object
) -> AsyncIterator[tuple[Connection, socket.socket, Hub]]:
    hub = Hub()
    chosen = policy(MONTAGUE, handshake_timeout_s=NEVER_S, close_timeout_s=NEVER_S, **settings)
    connection = connection_of(authenticated(chosen, bidi=True), hub)
    async with over_tcp(connection, receive_bytes) as peer:
        liveness = Liveness(asyncio.get_running_loop(), limits, lambda: [connection])
        try:
            yield connection, peer, hub
        finally:
            liveness.close()


def ended(connection: Connection) -> str | None:
    return connection.end.condition if connection.end is not None else None


def filled(connection: Connection) -> None:
    """More is written than a small window takes."""
    counts = Counts(100_000, 0, 0)
    connection.outlet.take(Forward("a0.1", 5, 1, 1, counts, PAIR, 1, 1, 0, LARGE), 1)
    connection.send_run(PAIR, LARGE, 1)


@pytest.mark.clause("KAL-02")
async def test_a_silent_stream_is_asked_with_a_space_and_kept() -> None:
    limits = replace(PATIENT, idle_check_s=0.08, unanswered_check_s=0.2)
    async with watched(limits) as (connection, peer, _):
        assert await read_exactly(peer, 5) == b" " * 5
        assert connection.end is None


@pytest.mark.clause("KAL-02")
async def test_checks_are_as_far_apart_as_configured() -> None:
    limits = replace(PATIENT, idle_check_s=0.4)
    async with watched(limits) as (_, peer, _):
        loop = asyncio.get_running_loop()
        await read_exactly(peer, 1)
        begun = loop.time()
        await read_exactly(peer, 1)
        assert loop.time() - begun > 0.3


async def test_a_stream_on_which_something_came_is_not_asked() -> None:
    limits = replace(PATIENT, idle_check_s=0.4)
    async with watched(limits) as (_, peer, _):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while loop.time() - begun < 1.0:
            await loop.sock_sendall(peer, b" ")
            await asyncio.sleep(0.05)
        with pytest.raises(BlockingIOError):
            peer.recv(1)


@pytest.mark.clause("KAL-02")
async def test_an_unanswered_check_is_a_broken_stream() -> None:
    limits = replace(PATIENT, idle_check_s=0.05, unanswered_check_s=0.5)
    async with watched(limits) as (connection, _, hub):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(0)
        Deaf(connection)
        await hub.until(lambda: ended(connection) == "connection-timeout")
        assert "closing" in hub.names()
        assert loop.time() - begun > 0.5, "its long silence counts from the question on"


@pytest.mark.clause("KAL-02")
async def test_what_is_never_acknowledged_breaks_a_busy_stream_too() -> None:
    limits = replace(PATIENT, unanswered_check_s=0.1)
    async with watched(limits, 16_384) as (connection, _, hub):
        filled(connection)
        await asyncio.sleep(0)
        Deaf(connection)
        await hub.until(lambda: ended(connection) == "connection-timeout")


@pytest.mark.clause("ERR-06")
async def test_a_peer_that_does_not_read_is_left_in_the_end() -> None:
    limits = replace(PATIENT, unread_output_s=0.3)
    async with watched(limits, 16_384) as (connection, _, hub):
        filled(connection)
        await hub.until(lambda: ended(connection) == "resource-constraint")


async def test_a_slow_reader_is_kept_while_it_reads() -> None:
    limits = replace(PATIENT, unread_output_s=0.4, unanswered_check_s=0.4)
    async with watched(limits, 16_384) as (connection, peer, _):
        filled(connection)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while loop.time() - begun < 1.2:
            await read_exactly(peer, 20_000)
            await asyncio.sleep(0.05)
        assert connection.end is None
        await read_exactly(peer, 100_000)


async def test_streams_that_are_not_proved_or_are_closing_are_others_business() -> None:
    limits = replace(PATIENT, idle_check_s=0.05, unanswered_check_s=0.1)
    hub = Hub()
    settings = policy(MONTAGUE, handshake_timeout_s=NEVER_S, close_timeout_s=NEVER_S)
    unproved = connection_of(inbound(settings), hub)
    closing = connection_of(authenticated(settings), hub)
    async with over_tcp(unproved) as peer, over_tcp(closing) as other, watched(limits) as kept:
        liveness = Liveness(asyncio.get_running_loop(), limits, lambda: [unproved, closing])
        closing.close()
        await read_exactly(other, len(b"</stream:stream>"))
        await read_exactly(kept[1], 4)
        liveness.close()
        for each in (peer, other):
            with pytest.raises(BlockingIOError):
                each.recv(1)
        assert ended(unproved) is ended(closing) is None
