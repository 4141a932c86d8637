"""Streams that end because the certificate which proved them does (RFC 6120 §13.7.2.3, CRT-07).

One timer for all. The peer's certificate is judged again before anything is done. Called by the
acceptor.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from router.acceptor.connection import Connection
from router.xmpp.events import PairAuthorised
from router.xmpp.s2s import ServerStream

_LONGEST_S: Final = 3600.0
"""The wall clock may be set meanwhile."""
_AGAIN_S: Final = 60.0
_MARGIN_S: Final = 1.0
"""A certificate is good to the end of its last second."""


class Expiries:
    """The proofs by certificate of open streams; `clock` tells seconds since the epoch."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.time
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._ends: dict[Connection, dict[str, float]] = {}
        self._next = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def authorised(self, connection: Connection, core: ServerStream, event: PairAuthorised) -> None:
        """A pair has been proved on this stream, perhaps by the peer's certificate."""
        if connection.direction == "out":  # the mechanism is how we proved ourselves
            rule = core.policy.rule(core.remote)
            if rule.require_certificate or not core.policy.dialback:
                self.proved(connection, core.remote)
        elif event.mechanism == "external" and not event.may_send:
            self.proved(connection, event.pair.sender)

    def proved(self, connection: Connection, domain: str) -> None:
        """The peer's certificate may have proved this domain on the stream; else nothing ends."""
        verdict = connection.core.evidence.proves(domain)
        if verdict.valid and verdict.not_after is not None:
            end = verdict.not_after + _MARGIN_S
            self._ends.setdefault(connection, {})[domain] = end
            self._arm(end)

    def gone(self, connection: Connection) -> None:
        """The stream is closed."""
        self._ends.pop(connection, None)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, at: float) -> None:
        if self._timer is not None and at >= self._next:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._next = at
        delay_s = min(max(0.0, at - self._clock()), _LONGEST_S)
        self._timer = self._loop.call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock()
        for connection, ends in list(self._ends.items()):
            for domain in [domain for domain, end in ends.items() if end <= now]:
                if connection.core.evidence.proves(domain).valid:
                    ends[domain] = now + _AGAIN_S
                else:
                    self._ended(connection, domain)
                    break
        if self._ends:
            self._arm(min(end for ends in self._ends.values() for end in ends.values()))

    def _ended(self, connection: Connection, domain: str) -> None:
        self._ends.pop(connection, None)
        if connection.end is None:
            text = f"the certificate that proved {domain} has expired"
            connection.act(connection.core.fail("reset", text))
