"""The egress half of the lanes: what one stream has taken, in order, and how far it has got.

One `Outlet` per stream that sends. Pure: it is told when octets leave and when the peer's kernel
has acknowledged them, and says what to report to the runs' owners. `owner` is the other half.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from router.wire.frames import Forward, Progress, Returned

LaneKey = tuple[str, int]  # owning acceptor, lane number


@dataclass(slots=True)
class _Taken:
    """How far one lane has got on this stream; sequence numbers."""

    epoch: int
    took: int
    done: int = 0
    reported: bool = True


class Outlet:
    """The lanes that leave on one stream. Offsets count octets handed to the transport."""

    def __init__(self, stream: int, level: str) -> None:
        self._stream = stream
        self._level = level
        self._lanes: dict[LaneKey, _Taken] = {}
        self._unflushed: list[tuple[LaneKey, int]] = []
        self._unacknowledged: deque[tuple[int, LaneKey, int]] = deque()
        self._dirty: set[LaneKey] = set()

    def take(self, frame: Forward, *, is_written: bool = True) -> bool:
        """Whether to write this run: False for one that was written before.

        `is_written` False: all of it is rejected here, and nothing of it will be acknowledged.
        """
        key = (frame.owner, frame.lane)
        last = frame.first + frame.counts.total - 1
        lane = self._lanes.get(key)
        self._dirty.add(key)
        if lane is None:
            lane = self._lanes[key] = _Taken(frame.epoch, 0)
        lane.epoch = max(lane.epoch, frame.epoch)
        if frame.first <= lane.took:
            return False
        lane.took = last
        if is_written:
            self._unflushed.append((key, last))
        return True

    def is_new(self, frame: Forward) -> bool:
        """Whether the run has not been taken before."""
        lane = self._lanes.get((frame.owner, frame.lane))
        return lane is None or frame.first > lane.took

    def decline(self, frame: Forward) -> Returned | None:
        """What its owner is to hear of a run that came too late to be written.

        None where earlier runs of the lane may still get through: `close` returns them together,
        for a lane moves with all it has (what is on its way would be sent twice).
        """
        lane = self._lanes.get((frame.owner, frame.lane))
        if lane is None:
            return Returned(frame.lane, frame.epoch, frame.first, frame.first - 1)
        lane.epoch = max(lane.epoch, frame.epoch)
        return None

    def flushed(self, offset: int) -> None:
        """All that was taken so far ends at or before this offset."""
        self._unacknowledged.extend((offset, key, last) for key, last in self._unflushed)
        self._unflushed.clear()

    def acknowledged(self, offset: int) -> None:
        """The peer's kernel has everything up to this offset."""
        waiting = self._unacknowledged
        while waiting and waiting[0][0] <= offset:
            _, key, last = waiting.popleft()
            lane = self._lanes.get(key)
            if lane is not None:
                lane.done = last
                self._dirty.add(key)

    def is_waiting(self) -> bool:
        """Whether anything has not been acknowledged, or not been reported."""
        return bool(self._unacknowledged or self._unflushed or self._dirty)

    def is_unacknowledged(self) -> bool:
        """Whether anything taken has not reached the peer's kernel yet."""
        return bool(self._unacknowledged or self._unflushed)

    def reports(self) -> Iterator[tuple[str, Progress]]:
        """(owner, report) for every lane that moved since the last time."""
        for key in self._dirty:
            lane = self._lanes.get(key)
            if lane is not None:
                yield (
                    key[0],
                    Progress(key[1], lane.epoch, self._stream, lane.took, lane.done, self._level),
                )
        self._dirty.clear()

    def close(self) -> Iterator[tuple[str, Returned]]:
        """(owner, return) for every lane: the stream is gone.

        What was handed to the transport without being acknowledged is in doubt.
        """
        in_doubt = {key: last for _, key, last in self._unacknowledged}
        for key, lane in self._lanes.items():
            first = lane.done + 1
            yield key[0], Returned(key[1], lane.epoch, first, in_doubt.get(key, lane.done))
        self._lanes.clear()
        self._unflushed.clear()
        self._unacknowledged.clear()
        self._dirty.clear()

    def ended(self, owner: str, lane: int) -> None:
        """The owner says that the lane is over."""
        self._lanes.pop((owner, lane), None)

    def owner_gone(self, owner: str) -> None:
        """An acceptor died, and its lanes with it; what was taken is still sent."""
        for key in [key for key in self._lanes if key[0] == owner]:
            del self._lanes[key]
