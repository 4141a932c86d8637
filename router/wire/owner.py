"""The owner's half of the lanes: every run an acceptor parsed, kept until its outcome is known.

A lane is one ordered domain pair on one ingress stream, and on the next one that brings the pair
while anything is under way. Pure: frames in, frames and outcomes out.
The acceptor sends the frames and counts the outcomes; `egress` is the other half.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from router.wire.frames import Again, Data, Hold, Progress, Reject, Returned, StreamId
from router.wire.handled import Ticket
from router.wire.leases import Leases, is_worker
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts, cut

DOUBTFUL = StanzaError("remote-server-timeout", "wait", "delivery unknown")
POISON = StanzaError.of("internal-server-error", "routing failed on it twice")


class Pace(Enum):
    """What the egress stream lets a lane do."""

    FREE = auto()
    SLOW = auto()
    """It is to wait, or has a credit; the peer reads, so who sends to it may be kept waiting."""
    STUCK = auto()
    """It is to wait, and the peer does not read: nobody is kept waiting for that."""


@dataclass(slots=True)
class Kept:
    """A run whose outcome is not known: sequence numbers `first` to `last`.

    `ticket` is to hear of it, where the sender counts on us (XEP-0198).
    """

    first: int
    last: int
    counts: Counts
    octets: bytes
    ticket: Ticket | None = None


@dataclass(slots=True)
class Lane:
    """One ordered domain pair on one ingress stream; `stream` is None for what we make ourselves.

    `took` is the highest number known to be in the egress stream's write queue. `sent` is the last
    sent to a worker in this epoch, `reached` the highest that ever was: what has to be sent again
    takes `sent` back. `done` is what was last reported as handed over. `credit_bytes` is what a
    SLOW lane may still send.
    """

    number: int
    pair: DomainPair
    shard: int
    stream: int | None
    epoch: int = 1
    next: int = 1
    sent: int = 0
    reached: int = 0
    took: int = 0
    done: int = 0
    pace: Pace = Pace.FREE
    credit_bytes: int = 0
    egress: StreamId | None = None
    kept: deque[Kept] = field(default_factory=deque)
    kept_bytes: int = 0
    kept_stanzas: int = 0
    ingress_open: bool = True
    suspect: int = 0
    """Up to here one stanza at a time is sent; 0 is the rule."""
    tried: int = 0


@dataclass(frozen=True, slots=True)
class Resolved:
    """Runs that leave retention: handed over, or to be bounced with `error`."""

    lane: Lane
    runs: tuple[Kept, ...]
    error: StanzaError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a frame about a lane leads to: outcomes to count, and runs to send."""

    resolved: tuple[Resolved, ...] = ()
    again: tuple[Data, ...] = ()


_NOTHING = Answer()


class Owner:
    """All lanes of one acceptor.

    `resends`: what is in doubt is sent again, and may then arrive twice; otherwise it is bounced.
    """

    def __init__(self, leases: Leases, *, resends: bool = False) -> None:
        self._leases = leases
        self._resends = resends
        self._lanes: dict[int, Lane] = {}
        self._left: dict[DomainPair, Lane] = {}  # by streams that are gone
        self._next_lane = 1
        self._suspects: dict[int, Lane] = {}
        self.trial: tuple[Lane, int] | None = None
        """The lane and the number of the one stanza that is on trial."""
        self.kept_bytes = 0
        """Octets in retention."""

    def open(self, pair: DomainPair, stream: int | None) -> Lane:
        """A new lane, or what a stream of this pair has left under way: order outlives streams."""
        if stream is not None and (left := self._left.pop(pair, None)) is not None:
            left.stream, left.ingress_open = stream, True
            return left
        number, self._next_lane = self._next_lane, self._next_lane + 1
        lane = self._lanes[number] = Lane(number, pair, shard_of(*pair), stream)
        return lane

    def find(self, number: int) -> Lane | None:
        """The lane, unless it is over."""
        return self._lanes.get(number)

    def append(self, lane: Lane, counts: Counts, octets: bytes) -> Data | None:
        """Keep a run; the frame that routes it, unless it has to wait for others or its turn."""
        total = counts.total
        run = Kept(lane.next, lane.next + total - 1, counts, octets)
        is_next = not lane.kept or lane.kept[-1].last <= lane.sent
        lane.next += total
        lane.kept.append(run)
        size = len(octets)
        lane.kept_bytes += size
        lane.kept_stanzas += total
        self.kept_bytes += size
        if is_next and self._may_send(lane):
            return self._send(lane, run)
        return None

    def close(self, lane: Lane) -> bool:
        """The ingress stream is gone. True when the lane is over; else it ends once resolved."""
        lane.ingress_open = False
        if lane.stream is not None and lane.kept:
            self._left[lane.pair] = lane
        return self._forget_if_over(lane)

    # --- what became of it ---

    def progress(self, source: str, frame: Progress) -> Answer:
        """Egress reports, cumulatively; the answer holds what has been handed over."""
        lane = self._lanes.get(frame.lane)
        if lane is None:
            return _NOTHING
        if frame.epoch == lane.epoch:
            lane.egress = StreamId(source, frame.stream)
            lane.took = max(lane.took, frame.took)
        done = []
        while lane.kept and lane.kept[0].last <= frame.done:
            done.append(lane.kept.popleft())
        lane.done = frame.done
        return Answer((self._resolve(lane, done),)) if done else _NOTHING

    def rejected(self, source: str, frame: Reject) -> Answer:
        """A run, or a part of one, finds no way: it is to be bounced."""
        lane = self._current(source, frame.lane, frame.epoch)
        if lane is None:
            return _NOTHING  # of an epoch or a lease before: the runs have been sent again since
        last = frame.first + frame.count - 1
        _split(lane, frame.first, last)
        runs = _take_out(lane, frame.first, last)
        error = StanzaError(frame.condition, frame.type, frame.text)
        return Answer((self._resolve(lane, runs, error),)) if runs else _NOTHING

    def returned(self, source: str, frame: Returned) -> Answer:
        """The egress stream of this epoch is gone: bounce what is in doubt, send on the rest."""
        lane = self._current(source, frame.lane, frame.epoch)
        if lane is None:
            return _NOTHING
        doubt = frame.doubt
        if is_worker(source):  # it knows not what was taken from the worker before it
            doubt = max(doubt, lane.took)
        handed = _handed_in_part(lane)
        resolved = (self._resolve(lane, handed),) if handed else ()
        answer = self._new_epoch(lane, frame.first, doubt)
        return Answer((*resolved, *answer.resolved), answer.again)

    def _current(self, source: str, number: int, epoch: int) -> Lane | None:
        """The lane, if this source may say what becomes of this epoch."""
        lane = self._lanes.get(number)
        if lane is None or lane.epoch != epoch:
            return None
        return lane if self._leases.may_judge(lane.shard, source) else None

    def lost(self, acceptor: str, shards: Collection[int], *, is_told: bool) -> Iterator[Answer]:
        """An acceptor died; the workers of these shards have returned what they sent there.

        Not `is_told`: they are gone as well. Then whatever may have gone there is in doubt.
        """
        for lane in list(self._lanes.values()):
            if lane.shard not in shards:
                continue
            if lane.egress is not None and lane.egress.acceptor == acceptor:
                yield self._new_epoch(lane, 0, lane.took if is_told else lane.reached)
            elif lane.egress is None and not is_told and lane.reached > _before(lane):
                yield self._new_epoch(lane, 0, lane.reached)

    def _new_epoch(self, lane: Lane, first: int, doubt: int) -> Answer:
        lane.epoch += 1
        lane.egress = None
        lane.took = lane.reached = lane.tried = 0
        lane.pace = Pace.FREE
        doubtful = [] if self._resends else _take_out(lane, first, doubt)
        lane.sent = _before(lane)
        resolved = (self._resolve(lane, doubtful, DOUBTFUL),) if doubtful else ()
        return Answer(resolved, tuple(self._unsent(lane)))

    # --- whose turn it is ---

    def hold(self, frame: Hold) -> Lane | None:
        """The egress stream is full; the lane, if that was news."""
        lane = self._lanes.get(frame.lane)
        if lane is None or lane.epoch != frame.epoch:
            return None
        lane.pace = Pace.SLOW if frame.is_moving else Pace.STUCK
        lane.credit_bytes = 0
        return lane

    def again(self, frame: Again) -> Answer:
        """The egress stream takes more; what it has dropped is sent again."""
        lane = self._lanes.get(frame.lane)
        if lane is None or lane.epoch != frame.epoch:
            return _NOTHING
        lane.took = max(lane.took, frame.took)
        lane.pace = Pace.SLOW if frame.octets else Pace.FREE
        lane.credit_bytes = frame.octets
        if frame.is_short:
            lane.sent = max(lane.took, _before(lane))
            lane.tried = min(lane.tried, lane.sent)
        return Answer(again=tuple(self._unsent(lane)))

    def replay(self, shards: Iterable[int]) -> Iterator[Data]:
        """What the new owner of these shards must see: all that no egress stream has taken."""
        wanted = frozenset(shards)
        for lane in self._lanes.values():
            if lane.shard in wanted and lane.kept:
                lane.sent = max(lane.took, _before(lane))
                lane.tried = 0
                yield from self._unsent(lane)

    def _unsent(self, lane: Lane) -> Iterator[Data]:
        for run in lane.kept:
            if run.last > lane.sent:
                if not self._may_send(lane):
                    return
                yield self._send(lane, run)

    def _may_send(self, lane: Lane) -> bool:
        if lane.suspect or not self._leases.live[lane.shard]:
            return False
        return lane.pace is Pace.FREE or lane.credit_bytes > 0

    def _send(self, lane: Lane, run: Kept) -> Data:
        lane.sent = run.last
        lane.reached = max(lane.reached, run.last)
        if lane.pace is not Pace.FREE:
            lane.credit_bytes -= len(run.octets)
        return Data(
            lane.number,
            lane.epoch,
            run.first,
            run.counts,
            lane.pair,
            self._leases.generations[lane.shard],
            lane.egress,
            run.octets,
        )

    # --- what a worker may have crashed on ---

    def crashed(self, shards: Collection[int]) -> Answer:
        """The workers of these shards crashed: what nobody had taken is tried one by one.

        The stanza that was on trial is bounced.
        """
        resolved: tuple[Resolved, ...] = ()
        if self.trial is not None and self.trial[0].shard in shards:
            (lane, number), self.trial = self.trial, None
            runs = _take_out(lane, number, number)
            resolved = (self._resolve(lane, runs, POISON),) if runs else ()
        for lane in self._lanes.values():
            if lane.shard in shards and lane.reached > max(lane.took, _before(lane)):
                lane.suspect = max(lane.suspect, lane.reached)
                self._suspects[lane.number] = lane
        return Answer(resolved)

    def is_trial_due(self) -> bool:
        """Whether the next suspect may be tried: none is, or of that one is known what became."""
        if self.trial is None:
            return bool(self._suspects)
        lane, number = self.trial
        is_kept = any(run.first <= number <= run.last for run in lane.kept)
        return lane.took >= number or lane.tried != number or not is_kept

    def next_trial(self) -> list[Data]:
        """Who was on trial did no harm: the next one, and what follows the last of a lane."""
        self.trial = None
        again: list[Data] = []
        for lane in list(self._suspects.values()):
            if not self._leases.live[lane.shard]:
                continue
            known = max(lane.took, lane.tried)
            number = next((max(r.first, known + 1) for r in lane.kept if r.last > known), None)
            if number is not None and number <= lane.suspect:
                _split(lane, number, number)
                lane.tried = number
                self.trial = lane, number
                again.append(self._send(lane, next(r for r in lane.kept if r.first == number)))
                break
            del self._suspects[lane.number]
            lane.suspect = lane.tried = 0
            again.extend(self._unsent(lane))
        return again

    # --- figures ---

    def in_flight(self) -> int:
        """Stanzas of others, not of our own making, whose outcome is not known."""
        return sum(lane.kept_stanzas for lane in self._lanes.values() if lane.stream is not None)

    def pending(self) -> int:
        """Stanzas of any making whose outcome is not known."""
        return sum(lane.kept_stanzas for lane in self._lanes.values())

    def _resolve(self, lane: Lane, runs: list[Kept], error: StanzaError | None = None) -> Resolved:
        octets = sum(len(run.octets) for run in runs)
        lane.kept_bytes -= octets
        self.kept_bytes -= octets
        lane.kept_stanzas -= sum(run.counts.total for run in runs)
        self._forget_if_over(lane)
        return Resolved(lane, tuple(runs), error)

    def _forget_if_over(self, lane: Lane) -> bool:
        if lane.ingress_open or lane.kept:
            return False
        if self._left.get(lane.pair) is lane:
            del self._left[lane.pair]
        return self._lanes.pop(lane.number, None) is not None


def _handed_in_part(lane: Lane) -> list[Kept]:
    """The beginning of a run of which the peer has handled no more (XEP-0198), taken out."""
    if not (lane.kept and lane.kept[0].first <= lane.done):
        return []
    _split(lane, lane.kept[0].first, lane.done)
    return [lane.kept.popleft()]


def _before(lane: Lane) -> int:
    """The number before the first that is kept."""
    return lane.kept[0].first - 1 if lane.kept else lane.next - 1


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
        empty = Kept(number, number - 1, Counts(0, 0, 0), b"", run.ticket)
        part = parts.setdefault(place, empty)
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
