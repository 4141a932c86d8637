"""Dialback keys that peers sent us and that somebody else has to verify (XEP-0220 §2.1.2).

They belong to the acceptor that holds the inbound stream, with their deadlines; the pair's shard
says which connection to ask on. Called by the acceptor.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from router.acceptor.connection import Connection
from router.wire.frames import Frame, Verified, Verify
from router.wire.shard import shard_of
from router.xmpp.events import KeyReceived
from router.xmpp.s2s import ServerStream


@dataclass(slots=True)
class _Pending:
    connection: Connection
    frame: Verify
    timer: asyncio.TimerHandle


class Verifications:
    """Keys under verification, by request number. Each stream bounds its own (dialback.py)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout_s: float,
        to_shard: Callable[[int, Frame], None],
    ) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._to_shard = to_shard
        self._pending: dict[int, _Pending] = {}
        self._next = 1

    def begin(self, connection: Connection, event: KeyReceived) -> None:
        """A key arrived: have it verified."""
        request, self._next = self._next, self._next + 1
        frame = Verify(request, event.pair, event.stream_id, event.key)
        timer = self._loop.call_later(
            self._timeout_s, self.verified, Verified(request, "remote-server-timeout")
        )
        self._pending[request] = _Pending(connection, frame, timer)
        self._to_shard(shard_of(*event.pair), frame)

    def verified(self, frame: Verified) -> None:
        """The verdict is there: answer the initiating server."""
        pending = self._pending.pop(frame.request, None)
        if pending is None:
            return
        pending.timer.cancel()
        core, asked = pending.connection.core, pending.frame
        if isinstance(core, ServerStream) and pending.connection.end is None:
            pending.connection.act(
                core.answer_key(asked.pair, asked.stream_id, frame.verdict, self._loop.time())
            )

    def announcements(self, shards: frozenset[int]) -> Iterator[Frame]:
        """What the new owner of these shards must be asked again."""
        for pending in self._pending.values():
            if shard_of(*pending.frame.pair) in shards:
                yield pending.frame

    def stream_gone(self, connection: Connection) -> None:
        """The stream whose keys these were is closed."""
        for request in [r for r, p in self._pending.items() if p.connection is connection]:
            self._pending.pop(request).timer.cancel()
