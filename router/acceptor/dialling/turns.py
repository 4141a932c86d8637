"""Turns: so many at once for each place, the others in the order they came. Knows no sockets.

A server takes only so many connections of one address that have proved nothing yet, and so many
keys at once on one stream; what comes above that it refuses. The dialer asks here before it
connects, `joining` before it asks for a further pair on a stream.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

WAIT_S: Final = 30.0
"""As long as a stanza waits for a stream by default (`limits.backlog_s`)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Leave to go there; `counts` until its end, unless it was urgent."""

    place: Hashable
    counts: bool = True
    has_waited: bool = False


class Turns:
    """Who may go, by place. A place is forgotten when nobody goes there any more."""

    def __init__(self, at_once: int, wait_s: float = WAIT_S) -> None:
        self._at_once = at_once
        self._wait_s = wait_s
        self._going: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Places where somebody goes or waits."""
        return len(self._going)

    async def come(self, place: Hashable, urged: "asyncio.Future[None]") -> Turn:
        """The caller's turn, once it has come; `end` is to be called for it.

        Who is `urged` goes at once, also from among those who wait, and takes nobody's turn: else
        whoever can make us hurry could keep the others waiting. Raises TimeoutError after `wait_s`.
        """
        if urged.done():
            return Turn(place, counts=False)
        if self._going.get(place, 0) < self._at_once:
            self._going[place] = self._going.get(place, 0) + 1
            return Turn(place)
        called: asyncio.Future[None] = urged.get_loop().create_future()
        self._waiting.setdefault(place, deque()).append(called)
        try:
            async with asyncio.timeout(self._wait_s):
                await asyncio.wait((called, urged), return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            if called.done():
                self.end(Turn(place))
            raise
        finally:
            if not called.done():
                self._leave(place, called)
        return Turn(place, counts=called.done(), has_waited=True)

    def end(self, turn: Turn) -> None:
        """The turn is over: it goes to who has waited for longest."""
        place = turn.place
        if not turn.counts:
            return
        if (waiting := self._waiting.get(place)) is not None:
            called = waiting[0]
            self._leave(place, called)
            called.set_result(None)
            return
        self._going[place] -= 1
        if not self._going[place]:
            del self._going[place]

    def _leave(self, place: Hashable, called: "asyncio.Future[None]") -> None:
        self._waiting[place].remove(called)
        if not self._waiting[place]:
            del self._waiting[place]
