"""The egress: an acceptor's half that writes on streams, each with what it has taken of lanes."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.model.frames import (
    Again,
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


class Taken(NamedTuple):
    """How far a lane has got on a stream, in the latest epoch it has seen.

    `gap`: something behind `took` is missing, and the owner knows.
    `granted` is the last number that a held lane may send, 0 before any grant.
    """

    epoch: int
    took: int = 0
    done: int = 0
    held: bool = False
    granted: int = 0
    gap: bool = False
    dropped: bool = False


@dataclass(slots=True, eq=False)
class Stream(Piece):
    """`queue` is all that was ever taken; the first `written` have left, the peer has `acked`."""

    open: bool = True
    queue: list[tuple[LaneId, int]] = field(default_factory=list)
    written: int = 0
    acked: int = 0
    lanes: dict[LaneId, Taken] = field(default_factory=dict)

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
        if taken is None:
            taken = Taken(frame.epoch)
        elif frame.epoch > taken.epoch:
            taken = Taken(frame.epoch, taken.took, taken.done)
        stream.lanes[frame.lane] = taken
        if self._is_duplicate(stream, taken, frame, net):
            self._report(frame.stream, frame.lane, net)
        elif self._is_gap(taken, frame, net):
            self._gap(stream, taken, frame.lane, net)
        elif stream.unsent >= HARD:
            stream.lanes[frame.lane] = taken._replace(dropped=True)
        else:
            self._take(stream, taken, frame, net)

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

    def _gap(self, stream: Stream, taken: Taken, lane: LaneId, net: Network) -> None:
        """Told once; a lane that is held, or had a run dropped, is told when there is room."""
        if not (taken.gap or taken.dropped or taken.held):
            stream.lanes[lane] = taken._replace(gap=True)
            net.send(self.name, lane.owner, Again(lane, taken.epoch, taken.took, 0))

    def _take(self, stream: Stream, taken: Taken, frame: Forward, net: Network) -> None:
        stream.queue.append((frame.lane, frame.number))
        taken = taken._replace(took=frame.number, gap=False, dropped=False)
        stream.lanes[frame.lane] = taken
        self._report(frame.stream, frame.lane, net)
        if stream.unsent >= HIGH and not taken.held:
            stream.lanes[frame.lane] = taken._replace(held=True, granted=0)
            net.send(self.name, frame.lane.owner, Hold(frame.lane, frame.epoch))

    def _report(self, number: int, lane: LaneId, net: Network) -> None:
        taken = self.streams[number].lanes[lane]
        report = Progress(lane, taken.epoch, number, taken.took, taken.done)
        net.send(self.name, lane.owner, report)

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
        stream.lanes[lane] = stream.lanes[lane]._replace(done=done)
        self._report(number, lane, net)

    def grant(self, number: int, net: Network) -> None:
        """Little is unsent: held lanes may send a bit, also when they were told so before."""
        stream = self.streams[number]
        for lane, taken in stream.lanes.items():
            if taken.held:
                granted = taken.took + ROOM
                stream.lanes[lane] = taken._replace(granted=granted, gap=False, dropped=False)
                net.send(self.name, lane.owner, Again(lane, taken.epoch, taken.took, ROOM))

    def release(self, number: int, net: Network) -> None:
        """The stream is congested no more: nothing limits its lanes."""
        stream = self.streams[number]
        for lane, taken in stream.lanes.items():
            if taken.held or taken.dropped:
                stream.lanes[lane] = taken._replace(held=False, granted=0, gap=False, dropped=False)
                net.send(self.name, lane.owner, Again(lane, taken.epoch, taken.took, 0))

    def is_congested(self, number: int) -> bool:
        """Whether `grant` and `release` have anything to say, now that nothing is unsent."""
        stream = self.streams[number]
        return not stream.unsent and any(t.held or t.dropped for t in stream.lanes.values())

    def retire(self, number: int, net: Network) -> None:
        """No more is taken; what was taken is still written."""
        self.streams[number].open = False
        if (lease := net.live_lease(self.name)) is not None:
            net.send(self.name, lease[0], Revoked(number))

    def close(self, number: int, net: Network) -> None:
        """Rule 6."""
        if self.streams[number].open:
            self.retire(number, net)
        stream = self.streams.pop(number)
        in_doubt = dict(stream.queue[stream.acked : stream.written])
        for lane, taken in stream.lanes.items():
            doubt = in_doubt.get(lane, taken.done)
            net.send(self.name, lane.owner, Returned(lane, taken.epoch, taken.done + 1, doubt))
