"""The owner's half of the lanes: every run an acceptor parsed, kept until its outcome is known.

A lane is one ordered domain pair on one ingress stream. Pure: frames in, frames and outcomes out.
The acceptor sends the frames and counts the outcomes; `egress` is the other half.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from router.wire.frames import Data, Progress, Reject, Returned, StreamId
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts, cut

DOUBTFUL = StanzaError("remote-server-timeout", "wait", "delivery unknown")


@dataclass(slots=True)
class Kept:
    """A run whose outcome is not known: sequence numbers `first` to `last`."""

    first: int
    last: int
    counts: Counts
    octets: bytes


@dataclass(slots=True)
class Lane:
    """One ordered domain pair on one ingress stream; `stream` is None for what we make ourselves.

    `took` is the highest number known to be in the egress stream's write queue.
    """

    number: int
    pair: DomainPair
    shard: int
    stream: int | None
    epoch: int = 1
    next: int = 1
    took: int = 0
    egress: StreamId | None = None
    kept: deque[Kept] = field(default_factory=deque)
    kept_bytes: int = 0
    kept_stanzas: int = 0
    ingress_open: bool = True


@dataclass(frozen=True, slots=True)
class Resolved:
    """Runs that leave retention: handed over, or to be bounced with `error`."""

    lane: Lane
    runs: tuple[Kept, ...]
    error: StanzaError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a frame about a lane leads to: outcomes to count, and runs to send again."""

    resolved: tuple[Resolved, ...] = ()
    again: tuple[Data, ...] = ()


class Owner:
    """All lanes of one acceptor. `generations` is kept current by the acceptor, by shard."""

    def __init__(self, generations: list[int]) -> None:
        self._generations = generations
        self._lanes: dict[int, Lane] = {}
        self._next_lane = 1

    def open(self, pair: DomainPair, stream: int | None) -> Lane:
        """A new lane."""
        number, self._next_lane = self._next_lane, self._next_lane + 1
        lane = self._lanes[number] = Lane(number, pair, shard_of(*pair), stream)
        return lane

    def append(self, lane: Lane, counts: Counts, octets: bytes) -> Data:
        """Keep a run; the frame that routes it."""
        total = counts.total
        run = Kept(lane.next, lane.next + total - 1, counts, octets)
        lane.next += total
        lane.kept.append(run)
        lane.kept_bytes += len(octets)
        lane.kept_stanzas += total
        return self._data(lane, run)

    def close(self, lane: Lane) -> bool:
        """The ingress stream is gone. True when the lane is over; else it ends once resolved."""
        lane.ingress_open = False
        return self._forget_if_over(lane)

    def progress(self, source: str, frame: Progress) -> Answer:
        """Egress reports, cumulatively; the answer holds what has been handed over."""
        lane = self._lanes.get(frame.lane)
        if lane is None:
            return Answer()
        if frame.epoch == lane.epoch:
            lane.egress = StreamId(source, frame.stream)
            lane.took = max(lane.took, frame.took)
        done = []
        while lane.kept and lane.kept[0].last <= frame.done:
            done.append(lane.kept.popleft())
        return Answer((self._resolve(lane, done),)) if done else Answer()

    def rejected(self, frame: Reject) -> Answer:
        """A run, or a part of one, finds no way: it is to be bounced."""
        lane = self._lanes.get(frame.lane)
        if lane is None or frame.epoch != lane.epoch:
            return Answer()  # of an epoch before: the runs have been sent again since
        last = frame.first + frame.count - 1
        _split(lane, frame.first, last)
        runs = _take_out(lane, frame.first, last)
        error = StanzaError(frame.condition, frame.type, frame.text)
        return Answer((self._resolve(lane, runs, error),)) if runs else Answer()

    def returned(self, frame: Returned) -> Answer:
        """The egress stream of this epoch is gone: bounce what is in doubt, send on the rest."""
        lane = self._lanes.get(frame.lane)
        if lane is None or frame.epoch != lane.epoch:
            return Answer()
        return self._new_epoch(lane, frame.first, frame.doubt)

    def acceptor_gone(self, acceptor: str, shards: Collection[int]) -> Iterator[Answer]:
        """An acceptor died: what it had taken is in doubt, the rest is sent again.

        Only for shards whose worker knows of the death, for it must choose another stream.
        """
        for lane in list(self._lanes.values()):
            if lane.shard not in shards:
                continue
            if lane.egress is not None and lane.egress.acceptor == acceptor:
                yield self._new_epoch(lane, 0, lane.took)
            elif lane.egress is None and lane.kept:
                yield self._new_epoch(lane, 0, 0)

    def replay(self, shards: Iterable[int]) -> Iterator[Data]:
        """What the new owner of these shards must see: all that no egress stream has taken."""
        wanted = frozenset(shards)
        for lane in self._lanes.values():
            if lane.shard in wanted:
                yield from (self._data(lane, run) for run in lane.kept if run.last > lane.took)

    def in_flight(self) -> int:
        """Stanzas of others, not of our own making, whose outcome is not known."""
        return sum(lane.kept_stanzas for lane in self._lanes.values() if lane.stream is not None)

    def pending(self) -> int:
        """Stanzas of any making whose outcome is not known."""
        return sum(lane.kept_stanzas for lane in self._lanes.values())

    def kept_bytes(self) -> int:
        """Octets in retention."""
        return sum(lane.kept_bytes for lane in self._lanes.values())

    def _new_epoch(self, lane: Lane, first: int, doubt: int) -> Answer:
        lane.epoch += 1
        lane.egress = None
        lane.took = 0
        doubtful = _take_out(lane, first, doubt)
        again = tuple(self._data(lane, run) for run in lane.kept)
        resolved = (self._resolve(lane, doubtful, DOUBTFUL),) if doubtful else ()
        return Answer(resolved, again)

    def _data(self, lane: Lane, run: Kept) -> Data:
        return Data(
            lane.number,
            lane.epoch,
            run.first,
            run.counts,
            lane.pair,
            self._generations[lane.shard],
            lane.egress,
            run.octets,
        )

    def _resolve(self, lane: Lane, runs: list[Kept], error: StanzaError | None = None) -> Resolved:
        lane.kept_bytes -= sum(len(run.octets) for run in runs)
        lane.kept_stanzas -= sum(run.counts.total for run in runs)
        self._forget_if_over(lane)
        return Resolved(lane, tuple(runs), error)

    def _forget_if_over(self, lane: Lane) -> bool:
        if lane.ingress_open or lane.kept:
            return False
        return self._lanes.pop(lane.number, None) is not None


def _split(lane: Lane, first: int, last: int) -> None:
    """See to it that no kept run reaches over either end of `first` to `last`."""
    if any(run.first < first <= run.last or run.first <= last < run.last for run in lane.kept):
        lane.kept = deque(part for run in lane.kept for part in _parts(run, first, last))


def _parts(run: Kept, first: int, last: int) -> Iterator[Kept]:
    """The run before `first`, from there to `last`, and behind it; what is empty is left out."""
    if run.last < first or last < run.first or (first <= run.first and run.last <= last):
        yield run
        return
    parts: dict[int, Kept] = {}
    for number, stanza in enumerate(cut(run.octets), run.first):
        place = (number >= first) + (number > last)
        part = parts.setdefault(place, Kept(number, number - 1, Counts(0, 0, 0), b""))
        part.last = number
        part.counts += Counts.one(stanza.kind)
        part.octets += stanza.octets
    yield from parts.values()


def _take_out(lane: Lane, first: int, last: int) -> list[Kept]:
    """Remove and return the kept runs that lie within `first` to `last`."""
    out = [run for run in lane.kept if first <= run.first and run.last <= last]
    if out:
        lane.kept = deque(run for run in lane.kept if not (first <= run.first and run.last <= last))
    return out
