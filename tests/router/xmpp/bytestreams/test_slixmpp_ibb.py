"""In-band bytestreams with slixmpp's plugin for XEP-0047 as the other side."""

import asyncio
from collections.abc import Callable

import pytest
from slixmpp.exceptions import IqError

from router.xmpp.bytestreams.ibb import Role
from router.xmpp.bytestreams.ibb_events import Closed, CloseReason
from router.xmpp.stanza import Stanza
from tests.router.xmpp.bytestreams.inband import JULIET, ROMEO, SID, End, data
from tests.router.xmpp.bytestreams.slix import Slix, slixmpp
from tests.support.pump import NOW


class Joined:
    """Our end, and slixmpp's stanzas going into it and its into slixmpp."""

    def __init__(self, role: Role, **terms: object) -> None:
        self.end = End(role, ROMEO, JULIET, **terms)
        self.peer: Slix | None = None
        self._changed = asyncio.Event()

    def take(self, stanza: Stanza) -> None:
        """A stanza of slixmpp's."""
        replies = self.end.take(stanza)
        self._changed.set()
        self.give(replies)

    def give(self, stanzas: list[Stanza]) -> None:
        """Stanzas of ours, to slixmpp."""
        assert self.peer is not None
        for stanza in stanzas:
            self.peer.take(stanza.octets)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for stanzas of slixmpp's until it is so."""
        async with asyncio.timeout(5):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()


@pytest.mark.clause("IBB-01", "IBB-04", "IBB-05", "IBB-07")
@pytest.mark.parametrize("use_messages", [False, True])
async def test_slixmpp_opens_sends_receives_and_closes(use_messages: bool) -> None:
    here = Joined(Role.EXPECTS_OPEN)
    async with slixmpp(JULIET, here.take, xep_0047={}) as here.peer:
        stream = await here.peer.plugin["xep_0047"].open_stream(
            ROMEO, sid=SID, ifrom=JULIET, use_messages=use_messages
        )
        octets = bytes(range(256)) * 50
        await stream.sendall(octets)
        await here.until(lambda: here.end.octets() == octets)
        here.end.stream.write(octets, NOW)
        here.give(here.end.sent())
        await here.until(lambda: here.end.stream.acknowledged_bytes == len(octets))
        received = b"".join(stream.recv_queue.get_nowait() for _ in range(4))
        assert received == octets
        await stream.close()
        assert here.end.events[-1] == Closed(CloseReason.PEER)


@pytest.mark.clause("IBB-01", "IBB-02", "IBB-07")
async def test_we_open_with_smaller_blocks_where_slixmpp_wants_them_and_close() -> None:
    here = Joined(Role.OPENS, block_size_bytes=8192)
    settings: dict[str, object] = {"auto_accept": True, "max_block_size": 2048}
    async with slixmpp(JULIET, here.take, xep_0047=settings) as here.peer:
        received: list[bytes] = []
        here.peer.add_event_handler("ibb_stream_data", lambda s: received.append(s.read()))
        here.give(here.end.sent())
        octets = b"0123456789" * 3000
        here.end.stream.write(octets, NOW)
        await here.until(lambda: here.end.stream.acknowledged_bytes == len(octets))
        assert b"".join(received) == octets
        assert {len(block) for block in received[:-1]} == {2048}
        here.end.events += here.end.stream.close(NOW)
        here.give(here.end.sent())
        await here.until(lambda: here.end.events[-1] == Closed(CloseReason.LOCAL))


@pytest.mark.clause("IBB-04", "IBB-06")
async def test_slixmpp_closes_where_we_would_too() -> None:
    here = Joined(Role.OPENS)
    async with slixmpp(JULIET, here.take, xep_0047={"auto_accept": True}) as here.peer:
        here.give(here.end.sent())
        here.end.stream.write(b"first", NOW)
        await here.until(lambda: here.end.stream.acknowledged_bytes == 5)
        gap = data(7).octets.replace(JULIET.encode(), b"%").replace(ROMEO.encode(), JULIET.encode())
        here.peer.take(gap.replace(b"%", ROMEO.encode()))
        await here.until(lambda: isinstance(here.end.events[-1], Closed))
        assert here.end.events[-1] == Closed(CloseReason.PEER)


@pytest.mark.clause("IBB-01")
async def test_slixmpp_is_told_that_another_block_size_was_agreed() -> None:
    here = Joined(Role.EXPECTS_OPEN)
    async with slixmpp(JULIET, here.take, xep_0047={}) as here.peer:
        with pytest.raises(IqError) as refused:
            await here.peer.plugin["xep_0047"].open_stream(
                ROMEO, sid=SID, ifrom=JULIET, block_size=512
            )
        assert refused.value.condition == "resource-constraint"
