"""Closing an acceptor for good, phase by phase, so that nothing accepted is lost on the way.

0: streams inside other streams (XEP-0246), while these carry them still.
1: streams on which peers may send, by bidi our own among them (XEP-0288); what is hosted stays:
what comes still reaches it, what it sends leaves on streams of ours that carry nothing back.
2: components, and streams on which servers behind us may send.
3: what is kept here is handed over, maybe on another acceptor's streams.
4: our own streams. Called by the process, phase by phase in step with the other acceptors.
"""

import asyncio
from collections.abc import Callable

from router.acceptor.acceptor import Acceptor
from router.acceptor.connection import Connection
from router.acceptor.listener import Listener

INNER_S = 2.5
"""How long inner streams may take to close; what they have not handed over then goes back."""

_STEP_S = 0.01
_HANDED_OVER_S = 5.0


class Drainer:
    """Runs the phases of `router.wire.control.Drain` on one acceptor."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, acceptor: Acceptor, listener: Listener
    ) -> None:
        self._loop = loop
        self._acceptor = acceptor
        self._listener = listener

    async def phase(self, number: int) -> None:
        """Return when the phase is complete. Streams bound their own closing (RFC 6120 §4.4)."""
        if number == 0:
            self._listener.close()
            self._acceptor.end_to_end.drain()
            await self._close_all(lambda c: c.leg == "e2e", INNER_S)
            self._acceptor.end_to_end.close()
        elif number == 1:
            self._acceptor.dial_one_way()
            await self._close_all(lambda c: c.leg == "s2s" and _may_bring(c))
        elif number == 2:
            await self._close_all(lambda c: c.leg in ("component", "server") and _may_bring(c))
        elif number == 3:
            await self._wait_until(lambda: self._acceptor.pending() == 0, _HANDED_OVER_S)
        elif number == 4:
            self._acceptor.begin_drain()
            await self._close_all(lambda c: True)

    async def _close_all(
        self, wanted: Callable[[Connection], bool], limit_s: float | None = None
    ) -> None:
        for connection in self._acceptor.connections():
            if wanted(connection):
                connection.close()
        await self._wait_until(
            lambda: not any(wanted(c) for c in self._acceptor.connections()),
            limit_s or _HANDED_OVER_S,
        )

    async def _wait_until(self, holds: Callable[[], bool], limit_s: float) -> None:
        deadline = self._loop.time() + limit_s
        while not holds() and self._loop.time() < deadline:  # noqa: ASYNC110 - many make it so
            await asyncio.sleep(_STEP_S)


def _may_bring(connection: Connection) -> bool:
    """Whether stanzas may come in on it, now or later."""
    return connection.direction == "in" or connection.core.is_bidi
