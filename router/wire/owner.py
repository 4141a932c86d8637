"""The owner's half of the lanes: every run an acceptor parsed, kept until its outcome is known.

A lane is one ordered domain pair on one ingress stream, and on the next one that brings the pair
while anything is under way. A worker finds the way of its first runs; once it is known, the
rest goes straight to the egress stream, until that is gone. Pure: frames in, frames and outcomes
out. The acceptor sends the frames and counts the outcomes; `egress` is the other half.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from router.wire.frames import Again, Data, Forward, Hold, Progress, Reject, Returned, StreamId
from router.wire.lane import Kept, Lane, Pace
from router.wire.leases import ANY_LEASE, Leases, is_worker
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

DOUBTFUL = StanzaError("remote-server-timeout", "wait", "delivery unknown")
POISON = StanzaError.of("internal-server-error", "routing failed on it twice")


@dataclass(frozen=True, slots=True)
class Resolved:
    """Runs that leave retention: handed over, or to be bounced with `error`."""

    lane: Lane
    runs: tuple[Kept, ...]
    error: StanzaError | None = None


@dataclass(frozen=True, slots=True)
class Straight:
    """A run for a stream of this acceptor, to be sent there without a worker."""

    acceptor: str
    frame: Forward


Sending = Data | Straight
"""A run to send: `Data` to the worker of its pair's shard."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a frame about a lane leads to: outcomes to count, and runs to send."""

    resolved: tuple[Resolved, ...] = ()
    again: tuple[Sending, ...] = ()


_NOTHING = Answer()


class Owner:
    """All lanes of the acceptor `name`.

    `resends`: what is in doubt is sent again, and may then arrive twice; otherwise it is bounced.
    """

    def __init__(self, name: str, leases: Leases, *, resends: bool = False) -> None:
        self._name = name
        self._leases = leases
        self._resends = resends
        self._lanes: dict[int, Lane] = {}
        self._left: dict[DomainPair, Lane] = {}  # by streams that are gone
        self._next_lane = 1
        self._suspects: dict[int, Lane] = {}
        self._accused: dict[int, int] = {}  # lane → the number on trial when its worker crashed
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

    def append(self, lane: Lane, counts: Counts, octets: bytes) -> Sending | None:
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
        resolved = (self._resolve(lane, done),) if done else ()
        again = tuple(self._unsent(lane)) if self._is_straightened(lane) else ()
        return Answer(resolved, again) if resolved or again else _NOTHING

    def rejected(self, source: str, frame: Reject) -> Answer:
        """A run, or a part of one, finds no way: it is to be bounced."""
        lane = self._current(source, frame.lane, frame.epoch)
        if lane is None:
            return _NOTHING  # of an epoch or a lease before: the runs have been sent again since
        last = frame.first + frame.count - 1
        lane.split(frame.first, last)
        runs = lane.take_out(frame.first, last)
        error = StanzaError(frame.condition, frame.type, frame.text)
        if not runs:
            return _NOTHING
        again = tuple(self._unsent(lane)) if self._is_straightened(lane) else ()
        return Answer((self._resolve(lane, runs, error),), again)

    def returned(self, source: str, frame: Returned) -> Answer:
        """The egress stream of this epoch is gone: bounce what is in doubt, send on the rest."""
        lane = self._current(source, frame.lane, frame.epoch)
        if lane is None:
            return _NOTHING
        doubt = frame.doubt
        if is_worker(source):  # it knows not what was taken from the worker before it
            doubt = max(doubt, lane.took)
        handed = lane.handed_in_part()
        resolved = (self._resolve(lane, handed),) if handed else ()
        answer = self._new_epoch(lane, frame.first, doubt)
        return Answer((*resolved, *answer.resolved), answer.again)

    def _current(self, source: str, number: int, epoch: int) -> Lane | None:
        """The lane, if this source may say what becomes of this epoch.

        Of what goes straight to its stream no worker may: what it still says is of runs sent twice.
        """
        lane = self._lanes.get(number)
        if lane is None or lane.epoch != epoch or (lane.is_straight and is_worker(source)):
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
                is_known = is_told and not lane.is_straight
                yield self._new_epoch(lane, 0, lane.took if is_known else lane.reached)
            elif lane.egress is None and not is_told and lane.reached > lane.before():
                yield self._new_epoch(lane, 0, lane.reached)

    def _new_epoch(self, lane: Lane, first: int, doubt: int) -> Answer:
        lane.epoch += 1
        lane.egress = None
        lane.took = lane.reached = lane.tried = 0
        lane.is_straight = False
        lane.pace = Pace.FREE
        doubtful = [] if self._resends else lane.take_out(first, doubt)
        lane.sent = lane.before()
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
            lane.sent = max(lane.took, lane.before())
            lane.tried = min(lane.tried, lane.sent)
            lane.after = lane.took
        self._is_straightened(lane)
        return Answer(again=tuple(self._unsent(lane)))

    def _is_straightened(self, lane: Lane) -> bool:
        """From now on straight to the stream: it is known, and has all that workers were sent."""
        if lane.is_straight or lane.egress is None or max(lane.took, lane.before()) < lane.sent:
            return False
        lane.is_straight, lane.after = True, lane.took
        lane.suspect = lane.tried = 0
        self._suspects.pop(lane.number, None)
        return True

    def replay(self, shards: Iterable[int]) -> Answer:
        """These shards have a new worker: what it must see, all that no egress stream has taken."""
        wanted = frozenset(shards)
        resolved: list[Resolved] = []
        again: list[Sending] = []
        for lane in list(self._lanes.values()):
            if lane.shard not in wanted:
                continue
            accused = self._accused.pop(lane.number, 0)
            if lane.is_straight:
                continue
            if lane.took < accused:
                runs = lane.take_out(accused, accused)
                resolved += [self._resolve(lane, runs, POISON)] if runs else []
            lane.sent = max(lane.took, lane.before())
            lane.tried = 0
            self._is_straightened(lane)
            again += self._unsent(lane)
        return Answer(tuple(resolved), tuple(again))

    def go_on(self) -> Iterator[Sending]:
        """An acceptor has come: what has waited for it."""
        for lane in self._lanes.values():
            if lane.is_straight and lane.kept and lane.kept[-1].last > lane.sent:
                yield from self._unsent(lane)

    def _unsent(self, lane: Lane) -> Iterator[Sending]:
        for run in lane.kept:
            if run.last > lane.sent:
                if not self._may_send(lane):
                    return
                yield self._send(lane, run)

    def _may_send(self, lane: Lane) -> bool:
        if lane.egress is not None:
            # What overtook runs that are on their way would have to be sent twice, and to who is
            # gone, or not here yet, it would be lost.
            if not (lane.is_straight and lane.egress.acceptor in self._leases.acceptors):
                return False
        elif lane.suspect or not self._leases.live[lane.shard]:
            return False
        return lane.pace is Pace.FREE or lane.credit_bytes > 0

    def _send(self, lane: Lane, run: Kept) -> Sending:
        lane.sent = run.last
        lane.reached = max(lane.reached, run.last)
        if lane.pace is not Pace.FREE:
            lane.credit_bytes -= len(run.octets)
        if lane.is_straight and lane.egress is not None:
            return Straight(lane.egress.acceptor, self._forward(lane, run, lane.egress.number))
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

    def _forward(self, lane: Lane, run: Kept, stream: int) -> Forward:
        after, lane.after = lane.after, run.last
        return Forward(
            self._name,
            lane.number,
            lane.epoch,
            run.first,
            run.counts,
            lane.pair,
            ANY_LEASE,
            stream,
            after,
            run.octets,
        )

    # --- what a worker may have crashed on ---

    def crashed(self, shards: Collection[int]) -> None:
        """The workers of these shards crashed: what nobody had taken is tried one by one.

        The stanza that was on trial is bounced by `replay`, unless some stream has it.
        """
        if self.trial is not None and self.trial[0].shard in shards:
            (lane, number), self.trial = self.trial, None
            self._accused[lane.number] = number
        for lane in self._lanes.values():
            if lane.shard not in shards or lane.egress is not None:
                continue  # the latter go straight to their streams from now on
            if lane.reached > max(lane.took, lane.before()):
                lane.suspect = max(lane.suspect, lane.reached)
                self._suspects[lane.number] = lane

    def is_trial_due(self) -> bool:
        """Whether the next suspect may be tried: none is, or of that one is known what became."""
        if self.trial is None:
            return bool(self._suspects)
        lane, number = self.trial
        is_kept = any(run.first <= number <= run.last for run in lane.kept)
        return lane.took >= number or lane.tried != number or not is_kept

    def next_trial(self) -> list[Sending]:
        """Who was on trial did no harm: the next one, and what follows the last of a lane."""
        self.trial = None
        again: list[Sending] = []
        for lane in list(self._suspects.values()):
            if not self._leases.live[lane.shard]:
                continue
            known = max(lane.took, lane.tried)
            number = next((max(r.first, known + 1) for r in lane.kept if r.last > known), None)
            if number is not None and number <= lane.suspect:
                lane.split(number, number)
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
        self._accused.pop(lane.number, None)
        return self._lanes.pop(lane.number, None) is not None
