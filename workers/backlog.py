"""What waits for a stream: the bounded, expiring queue of one domain pair (XEP-0220 §2.1.1).

Owns order and bounds, the one on all queues of the worker together included. When to dial, and
what becomes of what does not fit, is `routing`'s.
"""

from collections import deque
from typing import Final, NamedTuple

from router.config import Limits
from router.wire.frames import Data

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024


class Room:
    """How many octets may wait in this worker, in all its queues together."""

    __slots__ = ("_limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int = MAX_WAITING_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, octets: int, *, whatever_is_left: bool = False) -> bool:
        """Whether so many more fit, or have to; if so they count from now on."""
        if self.used_bytes + octets > self._limit_bytes and not whatever_is_left:
            return False
        self.used_bytes += octets
        return True

    def give_back(self, octets: int) -> None:
        """So many wait no longer."""
        self.used_bytes -= octets


class Queued(NamedTuple):
    """A run, the acceptor that owns it, and when it has waited too long (the caller's clock)."""

    source: str
    data: Data
    expires_s: float


class Backlog:
    """Runs of one pair, oldest first. `limits` gives its octets, stanzas and seconds."""

    __slots__ = ("_limits", "_room", "_runs", "octets", "stanzas")

    def __init__(self, limits: Limits, room: Room) -> None:
        self._limits = limits
        self._room = room
        self._runs: deque[Queued] = deque()
        self.octets = 0
        self.stanzas = 0

    def __bool__(self) -> bool:
        return bool(self._runs)

    def append(self, source: str, data: Data, now: float) -> bool:
        """Queue the run; False, and nothing changes, when it does not fit."""
        octets = self.octets + len(data.octets)
        stanzas = self.stanzas + data.counts.total
        if octets > self._limits.backlog_bytes or stanzas > self._limits.backlog_stanzas:
            return False
        if not self._room.take(len(data.octets)):
            return False
        self.octets, self.stanzas = octets, stanzas
        self._runs.append(Queued(source, data, now + self._limits.backlog_s))
        return True

    def take_all(self) -> list[Queued]:
        """Everything, in order; the backlog is empty afterwards."""
        taken = list(self._runs)
        self._runs.clear()
        self._count_out(taken)
        return taken

    def take_expired(self, now: float) -> list[Queued]:
        """What has waited too long, in order."""
        taken = []
        while self._runs and self._runs[0].expires_s <= now:
            taken.append(self._runs.popleft())
        self._count_out(taken)
        return taken

    def discard(self, source: str, lane: int) -> None:
        """Drop the runs of a lane whose owner sends them again, in a new epoch."""
        stale = [run for run in self._runs if (run.source, run.data.lane) == (source, lane)]
        if stale:
            self._runs = deque(
                run for run in self._runs if (run.source, run.data.lane) != (source, lane)
            )
            self._count_out(stale)

    def expires_s(self) -> float | None:
        """When the oldest run has waited too long; None when nothing waits."""
        return self._runs[0].expires_s if self._runs else None

    def _count_out(self, runs: list[Queued]) -> None:
        octets = sum(len(run.data.octets) for run in runs)
        self._room.give_back(octets)
        self.octets -= octets
        self.stanzas -= sum(run.data.counts.total for run in runs)
