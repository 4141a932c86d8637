"""The owner: an acceptor's half that keeps each stanza until its outcome is known."""

from dataclasses import dataclass, field

from tests.model.frames import (
    ANY_LEASE,
    Again,
    Announced,
    Bounced,
    Data,
    Ended,
    Forward,
    Granted,
    Hold,
    Joined,
    LaneId,
    Membership,
    Mutant,
    Progress,
    Reject,
    Returned,
    StreamId,
    Sync,
    Synced,
)
from tests.model.network import BOUNCED, HANDED, IN_DOUBT, Broken, Network
from tests.model.piece import Piece

NO_LIMIT = -1


@dataclass(slots=True, eq=False)
class Lane(Piece):
    """`sent` is where sending stands in this epoch, `highest` how far it ever was.

    `limit` is the last number the egress lets us send. `short`: no worker has part in this epoch
    any more, what follows goes straight to the egress. The ingress stream being gone, a lane
    ends once nothing is under way; till then the next stream of the pair may go on with it, unless
    it `is_succeeded`, of a mutant only.
    """

    epoch: int = 1
    next: int = 1
    took: int = 0
    sent: int = 0
    highest: int = 0
    limit: int = NO_LIMIT
    egress: StreamId | None = None
    short: bool = False
    ingress_open: bool = True
    is_succeeded: bool = False
    kept: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Owner(Piece):
    """One acceptor's lanes, and what it knows of the shard they are all in.

    `since` is the version in which the worker won the shard; it has been `announced` our streams,
    and once it is `live` gets stanzas. `awaited` have not answered the last Sync; `unsettled` are
    dead acceptors the lanes have not been told of. `suspicious`: the next lease begins with the
    bounce of what may have been poison.
    """

    name: str
    version: int
    worker: str
    generation: int
    members: frozenset[str]
    lanes: dict[LaneId, Lane]
    since: int = 0
    announced: bool = False
    live: bool = False
    sync: int = 0
    awaited: set[str] = field(default_factory=set)
    joined: dict[str, int] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    suspicious: bool = False

    def parse(self, lane: LaneId, net: Network) -> None:
        """Rule 1."""
        state = self.lanes[lane]
        state.ingress_open = True
        state.kept.append(state.next)
        net.accepted(lane, state.next)
        state.next += 1
        if net.mutant is Mutant.SHORT_BY_GUESS and state.sent and state.egress is None:
            others = [other.egress for other in self.lanes.values() if other.egress]
            state.egress, state.short = (others[0], True) if others else (None, False)
        self._send(lane, net)

    def _send(self, lane: LaneId, net: Network) -> None:
        state = self.lanes[lane]
        if not self._may_send(state, net):
            return
        for number in state.kept:
            if number <= state.sent:
                continue
            if state.limit != NO_LIMIT and number > state.limit:
                break
            if state.short:
                self._send_straight(lane, number, net)
            else:
                data = Data(lane, state.epoch, number, self.generation)
                net.send(self.name, self.worker, data)
            state.sent = number
            state.highest = max(state.highest, number)

    # --- the short way, rule 11 ---

    def _may_send(self, state: Lane, net: Network) -> bool:
        """Not while what the egress has not taken yet could be overtaken, nor to the dead."""
        if state.short:
            assert state.egress is not None
            is_there = state.egress.acceptor in self.members
            return is_there or net.mutant is Mutant.SHORT_TO_THE_DEAD
        return self.live and state.egress is None

    def _send_straight(self, lane: LaneId, number: int, net: Network) -> None:
        state = self.lanes[lane]
        assert state.egress is not None
        acceptor, stream = state.egress
        if acceptor not in self.members:
            raise Broken(f"{lane} {number} is sent to {acceptor}, which is known to be dead")
        after = 0 if net.mutant is Mutant.SHORT_WITHOUT_AFTER else state.sent
        lease = self.generation if net.mutant is Mutant.SHORT_UNDER_LEASE else ANY_LEASE
        net.send(self.name, acceptor, Forward(lane, state.epoch, number, after, lease, stream))

    def _shorten(self, state: Lane, net: Network) -> None:
        """As soon as the egress is known, and has taken all that went through workers."""
        if state.egress is not None:
            is_taken = state.took >= state.sent or net.mutant is Mutant.SHORT_TOO_SOON
            state.short = state.short or is_taken

    def hang_up(self, lane: LaneId, net: Network) -> None:
        """The stream the lane came on is gone; the next one of the pair comes with its next run."""
        self.lanes[lane].ingress_open = False
        if net.mutant is Mutant.LANE_ENDS_WITH_STREAM:
            self.lanes[lane].is_succeeded = True
            self.lanes[lane.following()] = Lane()
        self._end_if_over(lane, net)

    def _end_if_over(self, lane: LaneId, net: Network) -> None:
        state = self.lanes[lane]
        if state.ingress_open or state.kept or state.next == 1:
            return
        del self.lanes[lane]
        if not state.is_succeeded:
            self.lanes[lane.following()] = Lane()
        if state.egress is not None:
            net.send(self.name, state.egress.acceptor, Ended(lane, state.egress.number))

    # --- the membership, rules 3 and 5 ---

    def learn(self, membership: Membership, net: Network) -> None:
        self.version += 1
        gone = self.members - membership.acceptors
        self.members = membership.acceptors
        self.unsettled |= gone
        self.awaited -= gone
        if membership.generation != self.generation:
            self.worker, self.generation = membership.worker, membership.generation
            self.since, self.live, self.announced = self.version, False, False
            if net.mutant is Mutant.TOLD_BY_NEW_WORKER:
                for lane in [
                    lane for lane, state in self.lanes.items() if self._may_be_lost(state)
                ]:
                    self._give_up(lane, net)
                self.unsettled.clear()
            if self.lanes:  # without lanes there is nothing to replay
                self._ask(net)
        for lane, state in self.lanes.items():
            if state.short:  # its acceptor may be new to us, not to the worker
                self._send(lane, net)
        self._begin_if_ready(net)
        self._settle_if_told(net)

    def _ask(self, net: Network) -> None:
        self.sync += 1
        self.awaited = set(self.members)
        if net.mutant is Mutant.SYNC_SKIPS_ONE:
            self.awaited.discard(max(self.members))
        for acceptor in sorted(self.awaited):
            net.send(self.name, acceptor, Sync(self.sync, self.generation))

    def on_synced(self, source: str, frame: Synced, net: Network) -> None:
        if frame.number == self.sync:
            self.awaited.discard(source)
            self._begin_if_ready(net)

    def on_joined(self, source: str, frame: Joined, net: Network) -> None:
        self.joined[source] = frame.version
        self._begin_if_ready(net)
        self._settle_if_told(net)

    def _begin_if_ready(self, net: Network) -> None:
        joined = self.joined.get(self.worker, -1)
        if self.live or joined < self.since:
            return
        if joined > self.version:
            return  # this lease may be gone by then, and that one is yet to be announced
        if not self.announced:
            self._announce(joined, net)
        if not self.awaited or net.mutant is Mutant.REPLAY_BEFORE_SYNCED:
            self._begin(net)

    def _announce(self, joined: int, net: Network) -> None:
        self.announced = True
        for stream in net.open_streams(self.name):
            net.send(self.name, self.worker, Granted(stream, self.generation))
        net.send(self.name, self.worker, Announced(joined))

    def _begin(self, net: Network) -> None:
        self.live = True
        for lane, state in list(self.lanes.items()):
            if self._may_be_lost(state):
                self._give_up(lane, net)
            elif not state.short or net.mutant is Mutant.SHORT_REPLAYED:
                state.sent = state.highest = state.took
                state.short = False
                if net.mutant is Mutant.SHORT_REPLAYED:
                    state.egress = None
                self._shorten(state, net)
                self._suspect(lane, net)
                self._send(lane, net)
                self._end_if_over(lane, net)
        self.unsettled.clear()
        self.suspicious = False

    def _suspect(self, lane: LaneId, net: Network) -> None:
        """Rule 10: what no egress took may be what the worker died of."""
        state = self.lanes[lane]
        suspect = next((number for number in state.kept if number > state.took), None)
        if self.suspicious and suspect is not None and not state.short:
            state.kept.remove(suspect)
            net.outcome(lane, suspect, BOUNCED)

    def _give_up(self, lane: LaneId, net: Network) -> None:
        self._new_epoch(lane, 0, self._sent_at_most(self.lanes[lane], net), net)

    def _may_be_lost(self, state: Lane) -> bool:
        """Whether a dead acceptor had the lane, or nobody knows who had: its worker is gone too."""
        if state.egress is None:
            return bool(self.unsettled and state.highest)
        return state.egress.acceptor in self.unsettled

    def _settle_if_told(self, net: Network) -> None:
        """The worker has returned what it sent to the dead; the rest was taken before its time."""
        is_asked = self.live or net.mutant is Mutant.TOLD_BY_NEW_WORKER
        if not self.unsettled or not is_asked or self.joined.get(self.worker, -1) < self.version:
            return
        if net.mutant is not Mutant.SETTLED_BY_WORKER_ALONE:
            for lane, state in list(self.lanes.items()):
                if state.egress is not None and state.egress.acceptor in self.unsettled:
                    self._new_epoch(lane, 0, self._taken_at_most(state, net), net)
        self.unsettled.clear()

    def _sent_at_most(self, state: Lane, net: Network) -> int:
        """All that was ever sent of this epoch may have been written."""
        return state.sent if net.mutant is Mutant.DOUBT_TO_LAST_SENT else state.highest

    def _taken_at_most(self, state: Lane, net: Network) -> int:
        """What a dead egress may have taken, but for what its worker has told."""
        is_short = state.short and net.mutant is not Mutant.SHORT_DOUBT_TO_TOOK
        return self._sent_at_most(state, net) if is_short else state.took

    # --- what becomes of a lane ---

    def on_progress(self, source: str, frame: Progress, net: Network) -> None:
        state = self.lanes.get(frame.lane)
        if state is None:
            return
        if frame.epoch == state.epoch:
            state.egress = StreamId(source, frame.stream)
            state.took = max(state.took, frame.took)
            state.sent = max(state.sent, state.took)
            self._shorten(state, net)
        while state.kept and state.kept[0] <= frame.done:
            net.outcome(frame.lane, state.kept.pop(0), HANDED)
        self._send(frame.lane, net)
        self._end_if_over(frame.lane, net)

    def on_reject(self, source: str, frame: Reject, net: Network) -> None:
        state = self._of_epoch(frame)
        if state is None or frame.number not in state.kept:
            return
        if not self._speaks(source, net):
            return
        if state.short:
            raise Broken(f"{frame.lane} {frame.number} is rejected by a worker that has no part")
        state.kept.remove(frame.number)
        net.outcome(frame.lane, frame.number, BOUNCED)
        self._end_if_over(frame.lane, net)

    def _speaks(self, source: str, net: Network) -> bool:
        """Whether this worker's word on lanes counts: it has joined with the lease it has now."""
        if net.mutant is Mutant.OLD_REJECT_HONOURED:
            return True
        if net.mutant is Mutant.REJECT_BEFORE_JOINED_HONOURED:
            return source == self.worker
        return source == self.worker and self.live

    def on_bounced(self, source: str, frame: Bounced, net: Network) -> None:
        state = self.lanes.get(frame.lane)
        if state is not None and frame.number in state.kept:
            state.kept.remove(frame.number)

    def on_returned(self, source: str, frame: Returned, net: Network) -> None:
        state = self._of_epoch(frame)
        if state is None:
            return
        if source not in net.acceptors:
            if not self._speaks(source, net):
                return
            if state.short:  # what of it may be lost is settled when all have been told
                self._check_gone(state, net)
                return
        self._new_epoch(frame.lane, frame.first, frame.doubt, net)

    def _check_gone(self, state: Lane, net: Network) -> None:
        """A worker may only if the acceptor died, and then `_settle_if_told` has the word."""
        if state.egress is not None and state.egress.acceptor not in net.dead:
            raise Broken(f"a worker returns what goes straight to {state.egress}")

    def _new_epoch(self, lane: LaneId, first: int, doubt: int, net: Network) -> None:
        state = self.lanes[lane]
        for number in [number for number in state.kept if first <= number <= doubt]:
            state.kept.remove(number)
            net.outcome(lane, number, IN_DOUBT)
        state.epoch += 1
        state.took = state.sent = state.highest = 0
        state.limit = NO_LIMIT
        if net.mutant is not Mutant.SHORT_IN_NEXT_EPOCH:
            state.egress, state.short = None, False
        self._send(lane, net)
        self._end_if_over(lane, net)

    def _of_epoch(self, frame: Reject | Returned | Hold | Again) -> Lane | None:
        """The lane, unless it is over or in another epoch by now."""
        state = self.lanes.get(frame.lane)
        return state if state is not None and state.epoch == frame.epoch else None

    # --- back-pressure, rule 8 ---

    def newest_unsent(self, lane: LaneId, net: Network) -> int | None:
        """What may be bounced for want of room: nobody else has ever seen it."""
        state = self.lanes[lane]
        seen = state.sent if net.mutant is Mutant.REFUSED_AFTER_SENT else state.highest
        return state.kept[-1] if state.kept and state.kept[-1] > max(seen, state.took) else None

    def refuse(self, lane: LaneId, net: Network) -> None:
        """Bounce the newest."""
        number = self.newest_unsent(lane, net)
        assert number is not None
        self.lanes[lane].kept.remove(number)
        net.outcome(lane, number, BOUNCED)
        self._end_if_over(lane, net)

    def on_hold(self, source: str, frame: Hold, net: Network) -> None:
        if (state := self._of_epoch(frame)) is not None:
            state.limit = 0

    def on_again(self, source: str, frame: Again, net: Network) -> None:
        state = self._of_epoch(frame)
        if state is None:
            return
        state.took = max(state.took, frame.took)
        state.sent = state.took if frame.lacks else max(state.sent, state.took)
        self._shorten(state, net)
        before, state.limit = state.limit, frame.took + frame.credit if frame.credit else NO_LIMIT
        if net.mutant is Mutant.CREDIT_IS_A_DELTA and frame.credit and before > 0:
            state.limit = before + frame.credit
        net.check_limit(frame.lane, state.epoch, state.limit)
        self._send(frame.lane, net)
