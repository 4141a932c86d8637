"""The egress: an acceptor's half that writes on streams, each with what it has taken of lanes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from tests.model.frames import (
    Again,
    Ended,
    Forward,
    Granted,
    Hold,
    LaneId,
    Membership,
    Mutant,
    Progress,
    Returned,
    Revoked,
    Sync,
    Synced,
)
from tests.model.network import Network
from tests.model.piece import Piece

HIGH: Final = 2
"""Stanzas unsent on a stream at which a lane is held."""
HARD: Final = 3
"""Stanzas unsent at which more is dropped."""
ROOM: Final = 1
"""Stanzas granted to a held lane when nothing is left unsent."""


class Lack(Enum):
    """Whether anything behind what was taken has been dropped, and whether the owner knows."""

    NOTHING = auto()
    DROPPED = auto()
    ASKED_FOR = auto()


class Taken(NamedTuple):
    """How far a lane has got on a stream, in the latest epoch it has seen.

    `granted` is the last number that a held lane may send, 0 before any grant; `dropped` is the
    highest number that was.
    """

    epoch: int
    took: int = 0
    done: int = 0
    held: bool = False
    granted: int = 0
    lack: Lack = Lack.NOTHING
    dropped: int = 0


@dataclass(slots=True, eq=False)
class Stream(Piece):
    """`queue` is all that was ever taken; the first `written` have left, the peer has `acked`.

    Of the lanes in `dirty` there is something to report. Those `leaving` are to go by another
    stream, once all that was taken of them is done; those that `left` did so in that epoch.
    """

    open: bool = True
    queue: list[tuple[LaneId, int]] = field(default_factory=list)
    written: int = 0
    acked: int = 0
    lanes: dict[LaneId, Taken] = field(default_factory=dict)
    dirty: set[LaneId] = field(default_factory=set)
    leaving: set[LaneId] = field(default_factory=set)
    left: dict[LaneId, int] = field(default_factory=dict)

    @property
    def unsent(self) -> int:
        return len(self.queue) - self.written


@dataclass(slots=True, eq=False)
class Egress(Piece):
    """One acceptor's streams, and the generation below which nobody may write any more."""

    name: str
    fence: int
    streams: dict[int, Stream]
    next_stream: int = 2

    def learn(self, membership: Membership) -> None:
        self.fence = max(self.fence, membership.generation)

    def on_sync(self, source: str, frame: Sync, net: Network) -> None:
        """Rule 3: the fence first, so that what is answered stays true."""
        if net.mutant is not Mutant.SYNCED_BEFORE_FENCING:
            self.fence = max(self.fence, frame.generation)
        for number, stream in self.streams.items():
            for lane in stream.lanes:
                if lane.owner == source:
                    self._report(number, lane, net)
        net.send(self.name, source, Synced(frame.number))

    def on_forward(self, source: str, frame: Forward, net: Network) -> None:
        """Rule 2."""
        if frame.generation < self.fence:
            return
        stream = self.streams.get(frame.stream)
        taken = stream.lanes.get(frame.lane) if stream else None
        if stream is None or not stream.open:
            if taken is None:
                back = Returned(frame.lane, frame.epoch, frame.number, frame.number - 1)
                net.send(self.name, frame.lane.owner, back)
            return
        if taken is not None and frame.epoch < taken.epoch:
            return
        if frame.lane in stream.leaving or self._is_late(stream, frame, net):
            return
        if taken is None:
            taken = Taken(frame.epoch)
        elif frame.epoch > taken.epoch:
            taken = Taken(frame.epoch, taken.took, taken.done)
        stream.lanes[frame.lane] = taken
        if self._is_duplicate(stream, taken, frame, net):
            stream.dirty.add(frame.lane)
        elif self._is_gap(taken, frame, net):
            self._drop(stream, frame, net, is_known=taken.lack is not Lack.NOTHING)
        elif stream.unsent >= HARD:
            self._hold(stream, frame.lane, net)
            self._drop(stream, frame, net)
        else:
            self._take(stream, taken, frame, net)

    def _is_late(self, stream: Stream, frame: Forward, net: Network) -> bool:
        if net.mutant is Mutant.LEFT_IS_FORGOTTEN:
            return False
        return frame.epoch <= stream.left.get(frame.lane, 0)

    def _is_duplicate(self, stream: Stream, taken: Taken, frame: Forward, net: Network) -> bool:
        if net.mutant is Mutant.DUPLICATES_BY_HASH:  # all stanzas of a lane are equal
            return any(lane == frame.lane for lane, _ in stream.queue)
        return frame.number <= taken.took

    def _is_gap(self, taken: Taken, frame: Forward, net: Network) -> bool:
        if net.mutant is Mutant.GAP_ACCEPTED:
            return False
        if net.mutant is Mutant.EPOCH_BEGINS_ANYWHERE and not taken.took:
            return False
        if net.mutant is Mutant.NUMBERS_WITHOUT_HOLES and taken.took:
            return frame.number != taken.took + 1
        return frame.after > taken.took

    def _drop(self, stream: Stream, run: Forward, net: Network, *, is_known: bool = False) -> None:
        """The owner is told once; when there is room, if the lane is held."""
        taken = stream.lanes[run.lane]
        taken = taken._replace(dropped=max(taken.dropped, run.number))
        stream.lanes[run.lane] = taken if is_known else taken._replace(lack=Lack.DROPPED)
        if not (is_known or taken.held):
            self._again(stream, run.lane, 0, net)

    def _again(self, stream: Stream, lane: LaneId, credit: int, net: Network) -> None:
        taken = stream.lanes[lane]
        lacks = taken.lack is Lack.DROPPED
        if lacks:
            stream.lanes[lane] = taken._replace(lack=Lack.ASKED_FOR)
        net.send(self.name, lane.owner, Again(lane, taken.epoch, taken.took, credit, lacks))

    def _hold(self, stream: Stream, lane: LaneId, net: Network) -> None:
        taken = stream.lanes[lane]
        if not taken.held:
            stream.lanes[lane] = taken._replace(held=True, granted=0)
            net.send(self.name, lane.owner, Hold(lane, taken.epoch))

    def _take(self, stream: Stream, taken: Taken, frame: Forward, net: Network) -> None:
        stream.queue.append((frame.lane, frame.number))
        is_last = frame.number >= taken.dropped or net.mutant is Mutant.FILLED_IS_WHOLE
        lack = Lack.NOTHING if is_last else taken.lack
        stream.lanes[frame.lane] = taken._replace(took=frame.number, lack=lack)
        stream.dirty.add(frame.lane)
        if stream.unsent >= HIGH:
            self._hold(stream, frame.lane, net)

    def report(self, number: int, net: Network) -> None:
        """Now and then, how far the lanes have got that moved."""
        stream = self.streams[number]
        for lane in sorted(stream.dirty):
            self._report(number, lane, net)
        stream.dirty.clear()

    def _report(self, number: int, lane: LaneId, net: Network) -> None:
        taken = self.streams[number].lanes[lane]
        report = Progress(lane, taken.epoch, number, taken.took, taken.done)
        net.send(self.name, lane.owner, report)

    def on_ended(self, source: str, frame: Ended, net: Network) -> None:
        """Nothing of the lane need be remembered."""
        if (stream := self.streams.get(frame.stream)) is not None:
            self._forget(stream, frame.lane)

    def _forget(self, stream: Stream, lane: LaneId) -> None:
        stream.lanes.pop(lane, None)
        stream.dirty.discard(lane)
        stream.leaving.discard(lane)

    # --- what happens to streams ---

    def open(self, net: Network) -> None:
        self.streams[self.next_stream] = Stream()
        if (lease := net.live_lease(self.name)) is not None:
            worker, generation = lease
            net.send(self.name, worker, Granted(self.next_stream, generation))
        self.next_stream += 1

    def write(self, number: int, net: Network) -> None:
        """The kernel takes one stanza; the peer may have it from now on."""
        stream = self.streams[number]
        net.written(*stream.queue[stream.written])
        stream.written += 1

    def acknowledge(self, number: int, net: Network) -> None:
        """One more stanza has reached its level."""
        stream = self.streams[number]
        lane, done = stream.queue[stream.acked]
        stream.acked += 1
        if lane in stream.lanes:
            stream.lanes[lane] = stream.lanes[lane]._replace(done=done)
            stream.dirty.add(lane)

    def grant(self, number: int, net: Network) -> None:
        """Little is unsent: held lanes may send a bit, also when they were told so before."""
        stream = self.streams[number]
        for lane, taken in stream.lanes.items():
            if taken.held:
                stream.lanes[lane] = taken._replace(granted=taken.took + ROOM)
                self._again(stream, lane, ROOM, net)

    def release(self, number: int, net: Network) -> None:
        """The stream is congested no more: nothing limits its lanes."""
        stream = self.streams[number]
        for lane, taken in stream.lanes.items():
            if taken.held:
                stream.lanes[lane] = taken._replace(held=False, granted=0)
                self._again(stream, lane, 0, net)

    def lacks(self, number: int, lane: LaneId) -> bool:
        """Whether something of the lane has been dropped, and has not come again."""
        stream = self.streams.get(number)
        taken = stream.lanes.get(lane) if stream else None
        return taken is not None and taken.lack is not Lack.NOTHING

    def is_congested(self, number: int) -> bool:
        """Whether `grant` and `release` have anything to say, now that nothing is unsent."""
        stream = self.streams[number]
        return not stream.unsent and any(t.held for t in stream.lanes.values())

    def leave(self, number: int, net: Network) -> None:
        """The pair has a better way: nothing more is taken, what was taken is still written."""
        stream = self.streams[number]
        stream.leaving.update(stream.lanes)

    def gone_by(self, number: int, net: Network) -> Iterator[LaneId]:
        """Lanes that are leaving and have nothing on their way any more."""
        stream = self.streams[number]
        on_their_way = {lane for lane, _ in stream.queue[stream.acked :]}
        is_hasty = net.mutant is Mutant.LEFT_BEFORE_DONE
        yield from sorted(stream.leaving - (set() if is_hasty else on_their_way))

    def go(self, number: int, net: Network) -> None:
        """Rule 5: what is done is told before the lane is given back."""
        if net.mutant is not Mutant.LEFT_BEFORE_REPORTED:
            self.report(number, net)
        stream = self.streams[number]
        for lane in self.gone_by(number, net):
            taken = stream.lanes[lane]
            self._forget(stream, lane)
            stream.left[lane] = taken.epoch
            back = Returned(lane, taken.epoch, taken.done + 1, taken.done)
            net.send(self.name, lane.owner, back)

    def retire(self, number: int, net: Network) -> None:
        """No more is taken; what was taken is still written."""
        self.streams[number].open = False
        if (lease := net.live_lease(self.name)) is not None:
            net.send(self.name, lease[0], Revoked(number))

    def close(self, number: int, net: Network) -> None:
        """Rule 6."""
        if self.streams[number].open:
            self.retire(number, net)
        self.report(number, net)
        stream = self.streams.pop(number)
        in_doubt = dict(stream.queue[stream.acked : stream.written])
        for lane, taken in stream.lanes.items():
            doubt = in_doubt.get(lane, taken.done)
            net.send(self.name, lane.owner, Returned(lane, taken.epoch, taken.done + 1, doubt))
