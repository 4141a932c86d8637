"""What a connection leaves behind: nothing, as soon as its socket is closed."""

import asyncio
import gc
import weakref

from router.acceptor.connection import Connection
from tests.support.acceptors import Hub, wired
from tests.support.pump import MONTAGUE, authenticated


async def _ended_in_an_error() -> weakref.ref[Connection]:
    hub = Hub()
    connection, transport = wired(authenticated(), hub)
    transport.feed(f"<message from='tybalt.example' to='{MONTAGUE}'/>")
    assert connection.end is not None
    transport.close()
    await hub.until(lambda: "lost" in hub.names())
    return weakref.ref(connection)


async def test_a_stream_that_ended_in_an_error_is_forgotten_when_the_peer_has_left() -> None:
    """A flood of bad streams would else be kept for as long as a closing tag may take."""
    gc.collect()
    gc.disable()  # the collector would find cycles, but late: memory must come back at once
    try:
        remembered = await _ended_in_an_error()
        await asyncio.sleep(0)
        assert remembered() is None
    finally:
        gc.enable()
