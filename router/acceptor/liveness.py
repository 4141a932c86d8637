"""Whether peers are still there, asked of all streams by one timer (RFC 6120 §4.6, KAL-02).

A stream on which nothing comes is asked with a space, which the peer's kernel acknowledges. Broken
ones end with connection-timeout, unread ones with resource-constraint (ERR-06); what they carried
goes back to its owners. Idle streams are kept. Called by the acceptor.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from router.acceptor.connection import Connection
from router.config import Limits
from router.xmpp.states import Phase

_SHORTEST_S: Final = 0.02
_PER_LIMIT: Final = 4
"""How often the streams are looked at within the shortest limit: what a limit may be late by."""


@dataclass(slots=True)
class _Waiting:
    """The peer's kernel has `acknowledged` octets, no more since `since_s`."""

    acknowledged: int
    since_s: float


class Liveness:
    """Looks after `connections()`. No TCP keep-alive and no user timeout: they cannot tell a peer
    that is gone from one that does not read.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        connections: Callable[[], Iterable[Connection]],
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._waiting: dict[Connection, _Waiting] = {}
        self.reload(limits)
        self._timer = loop.call_later(self._interval_s, self._look)

    def reload(self, limits: Limits) -> None:
        """Other limits hold, from the next look on."""
        self._limits = limits
        shortest_s = min(limits.idle_check_s, limits.unanswered_check_s, limits.unread_output_s)
        self._interval_s = max(_SHORTEST_S, shortest_s / _PER_LIMIT)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def gone(self, connection: Connection) -> None:
        """The connection is closed."""
        self._waiting.pop(connection, None)

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._interval_s, self._look)
        now = self._loop.time()
        for connection in list(self._connections()):
            core = connection.core
            if core.mechanism and core.phase is not Phase.CLOSING and connection.end is None:
                self._look_at(connection, now)

    def _look_at(self, connection: Connection, now: float) -> None:
        waiting = self._waiting.get(connection)
        if waiting is None and not connection.outlet.is_unacknowledged():
            if now - connection.heard_at >= self._limits.idle_check_s:
                _, acknowledged = connection.output()
                self._waiting[connection] = _Waiting(acknowledged, now)
                connection.send_space()
            return
        written, acknowledged = connection.output()
        if waiting is None or acknowledged > waiting.acknowledged:
            connection.heard_at = now
            if written > acknowledged:
                self._waiting[connection] = _Waiting(acknowledged, now)
            else:
                self._waiting.pop(connection, None)
            return
        self._judge(connection, now - waiting.since_s)

    def _judge(self, connection: Connection, waited_s: float) -> None:
        """Its kernel has taken nothing for so long: does it answer at all?"""
        limits = self._limits
        is_silent = min(waited_s, connection.silent_s()) >= limits.unanswered_check_s
        if is_silent:
            self._end(connection, "connection-timeout", "no answer from the other side's TCP")
        elif waited_s >= limits.unread_output_s:
            self._end(connection, "resource-constraint", "the other side does not read")

    def _end(self, connection: Connection, condition: str, text: str) -> None:
        self._waiting.pop(connection, None)
        connection.act(connection.core.fail(condition, text))
