"""The owner: an acceptor's half that keeps each stanza until its outcome is known."""

from dataclasses import dataclass, field

from tests.model.frames import (
    Again,
    Announced,
    Bounced,
    Data,
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
from tests.model.network import BOUNCED, HANDED, IN_DOUBT, Network
from tests.model.piece import Piece

NO_LIMIT = -1


@dataclass(slots=True, eq=False)
class Lane(Piece):
    """`sent` is where sending stands in this epoch, `highest` how far it ever was.

    `limit` is the last number the egress lets us send.
    """

    epoch: int = 1
    next: int = 1
    took: int = 0
    sent: int = 0
    highest: int = 0
    limit: int = NO_LIMIT
    egress: StreamId | None = None
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
        state.kept.append(state.next)
        net.accepted(lane, state.next)
        state.next += 1
        self._send(lane, net)

    def _send(self, lane: LaneId, net: Network) -> None:
        state = self.lanes[lane]
        if not self.live:
            return
        for number in state.kept:
            if number <= state.sent:
                continue
            if state.limit != NO_LIMIT and number > state.limit:
                break
            data = Data(lane, state.epoch, number, self.generation, state.egress)
            net.send(self.name, self.worker, data)
            state.sent = number
            state.highest = max(state.highest, number)

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
        if joined > self.version and net.mutant is not Mutant.ANNOUNCED_AHEAD:
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
        for lane, state in self.lanes.items():
            if self._may_be_lost(state):
                self._give_up(lane, net)
            else:
                state.sent = state.highest = state.took
                self._suspect(lane, net)
                self._send(lane, net)
        self.unsettled.clear()
        self.suspicious = False

    def _suspect(self, lane: LaneId, net: Network) -> None:
        """Rule 10: what no egress took may be what the worker died of."""
        state = self.lanes[lane]
        suspect = next((number for number in state.kept if number > state.took), None)
        if self.suspicious and suspect is not None:
            state.kept.remove(suspect)
            net.outcome(lane, suspect, BOUNCED)

    def _give_up(self, lane: LaneId, net: Network) -> None:
        """All that was ever sent of this epoch may have been written."""
        state = self.lanes[lane]
        is_last = net.mutant is Mutant.DOUBT_TO_LAST_SENT
        self._new_epoch(lane, 0, state.sent if is_last else state.highest, net)

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
            for lane, state in self.lanes.items():
                if state.egress is not None and state.egress.acceptor in self.unsettled:
                    self._new_epoch(lane, 0, state.took, net)
        self.unsettled.clear()

    # --- what becomes of a lane ---

    def on_progress(self, source: str, frame: Progress, net: Network) -> None:
        state = self.lanes[frame.lane]
        if frame.epoch == state.epoch:
            state.egress = StreamId(source, frame.stream)
            state.took = max(state.took, frame.took)
            state.sent = max(state.sent, state.took)
        while state.kept and state.kept[0] <= frame.done:
            net.outcome(frame.lane, state.kept.pop(0), HANDED)

    def on_reject(self, source: str, frame: Reject, net: Network) -> None:
        state = self.lanes[frame.lane]
        if frame.epoch != state.epoch or frame.number not in state.kept:
            return
        if not self._speaks(source, net):
            return
        state.kept.remove(frame.number)
        net.outcome(frame.lane, frame.number, BOUNCED)

    def _speaks(self, source: str, net: Network) -> bool:
        """Whether this worker's word on lanes counts: it has joined with the lease it has now."""
        if net.mutant is Mutant.OLD_REJECT_HONOURED:
            return True
        if net.mutant is Mutant.REJECT_BEFORE_JOINED_HONOURED:
            return source == self.worker
        return source == self.worker and self.live

    def on_bounced(self, source: str, frame: Bounced, net: Network) -> None:
        state = self.lanes[frame.lane]
        if frame.number in state.kept:
            state.kept.remove(frame.number)

    def on_returned(self, source: str, frame: Returned, net: Network) -> None:
        state = self.lanes[frame.lane]
        if frame.epoch != state.epoch:
            return
        doubt = frame.doubt
        if source not in net.acceptors:
            if not self._speaks(source, net):
                return
            if net.mutant is not Mutant.RETURNED_WITHOUT_TOOK:
                doubt = max(doubt, state.took)
        self._new_epoch(frame.lane, frame.first, doubt, net)

    def _new_epoch(self, lane: LaneId, first: int, doubt: int, net: Network) -> None:
        state = self.lanes[lane]
        for number in [number for number in state.kept if first <= number <= doubt]:
            state.kept.remove(number)
            net.outcome(lane, number, IN_DOUBT)
        state.epoch += 1
        state.took = state.sent = state.highest = 0
        state.limit, state.egress = NO_LIMIT, None
        self._send(lane, net)

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

    def on_hold(self, source: str, frame: Hold, net: Network) -> None:
        state = self.lanes[frame.lane]
        if frame.epoch == state.epoch:
            state.limit = 0

    def on_again(self, source: str, frame: Again, net: Network) -> None:
        state = self.lanes[frame.lane]
        if frame.epoch != state.epoch:
            return
        state.took = max(state.took, frame.took)
        state.sent = state.took
        before, state.limit = state.limit, frame.took + frame.credit if frame.credit else NO_LIMIT
        if net.mutant is Mutant.CREDIT_IS_A_DELTA and frame.credit and before > 0:
            state.limit = before + frame.credit
        net.check_limit(frame.lane, state.epoch, state.limit)
        self._send(frame.lane, net)
