"""The worker: it chooses the stream of each epoch, keeps nothing and bounces nothing."""

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.frames import (
    Announced,
    Bounced,
    Data,
    Forward,
    Granted,
    Joined,
    LaneId,
    Membership,
    Mutant,
    Reject,
    Returned,
    Revoked,
    StreamId,
)
from tests.model.network import BOUNCED, Network
from tests.model.piece import Piece


class Epoch(NamedTuple):
    """The latest of a lane. `forwarded` is the last number that left, `most` the highest; or 0.

    `refused`: something of it was rejected, so nothing of it may leave.
    """

    number: int
    stream: StreamId | None = None
    over: bool = False
    refused: bool = False
    forwarded: int = 0
    most: int = 0


@dataclass(slots=True, eq=False)
class Worker(Piece):
    """`generation` is None while the shard is another's; it is routed once nobody is `awaited`.

    `early` came before that; `backlog` waits for a stream. `choose_last` makes workers differ.
    """

    name: str
    version: int
    generation: int | None
    members: frozenset[str]
    choose_last: bool
    since: int = 0
    awaited: set[str] = field(default_factory=set)
    streams: set[StreamId] = field(default_factory=set)
    epochs: dict[LaneId, Epoch] = field(default_factory=dict)
    early: list[Data] = field(default_factory=list)
    backlog: list[Data] = field(default_factory=list)

    def learn(self, membership: Membership, net: Network) -> None:
        self.version += 1
        gone = self.members - membership.acceptors
        self.members = membership.acceptors
        generation = membership.generation if membership.worker == self.name else None
        if generation != self.generation:
            self._forget()
            self.generation, self.since = generation, self.version
            self.awaited = set(self.members) if generation is not None else set()
        self.awaited -= gone
        self.streams = {stream for stream in self.streams if stream.acceptor not in gone}
        if net.mutant is Mutant.RETURNED_AFTER_JOINED:
            self._join(net)
            self._return(gone, net)
        else:
            self._return(gone, net)
            self._join(net)
        self._route_early(net)

    def _forget(self) -> None:
        self.streams.clear()
        self.epochs.clear()
        self.early.clear()
        self.backlog.clear()

    def _join(self, net: Network) -> None:
        for acceptor in sorted(self.members):
            net.send(self.name, acceptor, Joined(self.version))

    def _return(self, gone: frozenset[str], net: Network) -> None:
        """Rule 5, for epochs that are over as well: their acceptor will not return them now."""
        for lane, epoch in self.epochs.items():
            if epoch.stream is None or epoch.stream.acceptor not in gone:
                continue
            if epoch.over and net.mutant is Mutant.OVER_IS_NOT_BOUND:
                continue
            self.epochs[lane] = epoch._replace(over=True)
            net.send(self.name, lane.owner, Returned(lane, epoch.number, 0, epoch.most))

    def on_announced(self, source: str, frame: Announced, net: Network) -> None:
        if frame.version >= self.since:
            self.awaited.discard(source)
            self._route_early(net)

    def on_granted(self, source: str, frame: Granted, net: Network) -> None:
        is_ours = frame.generation == self.generation
        if net.mutant is Mutant.GRANT_OUTLIVES_LEASE:
            is_ours = self.generation is not None
        if not is_ours or source not in self.members:
            return
        self.streams.add(StreamId(source, frame.stream))
        waiting, self.backlog = self.backlog, []
        for data in waiting:
            self._route(data, net)

    def on_revoked(self, source: str, frame: Revoked, net: Network) -> None:
        stream = StreamId(source, frame.stream)
        self.streams.discard(stream)
        for lane, epoch in self.epochs.items():
            if epoch.stream == stream:
                is_moved = net.mutant is Mutant.MOVED_WITHOUT_RETURNED
                over = epoch._replace(stream=None) if is_moved else epoch._replace(over=True)
                self.epochs[lane] = over

    def on_data(self, source: str, frame: Data, net: Network) -> None:
        if frame.generation != self.generation:
            return
        if self.awaited:
            self.early.append(frame)
        else:
            self._route(frame, net)

    def _route_early(self, net: Network) -> None:
        if not self.awaited:
            early, self.early = self.early, []
            for data in early:
                self._route(data, net)

    def _route(self, data: Data, net: Network) -> None:
        epoch = self._epoch(data)
        if epoch is None or epoch.over:
            return
        if epoch.stream is None:
            stream = self._stream()
            if stream is None:
                self.backlog.append(data)
                return
            if epoch.refused and net.mutant is not Mutant.REFUSED_EPOCH_LEAVES:
                self._give_back(data, epoch, net)
                return
            epoch = epoch._replace(stream=stream)
        self._forward(data, epoch, net)

    def _give_back(self, data: Data, epoch: Epoch, net: Network) -> None:
        """Rule 4: an egress could not tell the hole of a rejected run from one that is lost."""
        self.epochs[data.lane] = epoch._replace(over=True)
        self._discard(data.lane)
        back = Returned(data.lane, data.epoch, data.number, data.number - 1)
        net.send(self.name, data.lane.owner, back)

    def _forward(self, data: Data, epoch: Epoch, net: Network) -> None:
        assert epoch.stream is not None
        after = epoch.forwarded if epoch.forwarded < data.number else 0
        most = max(epoch.most, data.number)
        self.epochs[data.lane] = epoch._replace(forwarded=data.number, most=most)
        forward = Forward(*data[:3], after, data.generation, epoch.stream.number)
        net.send(self.name, epoch.stream.acceptor, forward)

    def _epoch(self, data: Data) -> Epoch | None:
        epoch = self.epochs.get(data.lane)
        if epoch is not None and epoch.number >= data.epoch:
            return epoch if epoch.number == data.epoch else None
        self._discard(data.lane)
        epoch = self.epochs[data.lane] = Epoch(data.epoch)
        return epoch

    def _discard(self, lane: LaneId) -> None:
        self.backlog = [data for data in self.backlog if data.lane != lane]

    def _stream(self) -> StreamId | None:
        if not self.streams:
            return None
        return max(self.streams) if self.choose_last else min(self.streams)

    def may_refuse(self, data: Data) -> bool:
        """Whether a run that is about to come, too early, may be rejected for want of room."""
        return bool(self.awaited) and data.generation == self.generation

    def refuse(self, data: Data, net: Network) -> None:
        """There is no room for a run that came too early."""
        epoch = self._epoch(data)
        if epoch is not None and not epoch.over:
            self._reject(data, net)

    def expire(self, net: Network) -> None:
        """The oldest run has waited too long."""
        self._reject(self.backlog.pop(0), net)

    def _reject(self, data: Data, net: Network) -> None:
        self.epochs[data.lane] = self.epochs[data.lane]._replace(refused=True)
        if net.mutant is Mutant.WORKER_BOUNCES:
            net.outcome(data.lane, data.number, BOUNCED)
            net.send(self.name, data.lane.owner, Bounced(data.lane, data.number))
        else:
            net.send(self.name, data.lane.owner, Reject(data.lane, data.epoch, data.number))
