"""Which stream each lane's epoch leaves on: fixed at its first run, until that stream is gone.

Owns the records and their bound. It chooses no stream; `routing` does, and asks here first.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from router.wire.frames import StreamId
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair

LaneKey = tuple[str, int]
"""Owning acceptor, lane number."""

MAX_LANES: Final = 65_536


@dataclass(slots=True)
class Epoch:
    """One epoch of one lane. `stream` is None until a run of it has left.

    `last` is the number of the stanza forwarded last, `most` the highest that ever was. Once it
    `is_refused`, because a run of it was rejected, nothing of it is forwarded any more: what the
    peer has of an epoch has no holes.

    Once `is_over`, runs of it are dropped: the acceptor that had the stream returns the epoch to
    the owner, who sends what is left in the next one.
    """

    pair: DomainPair
    number: int
    stream: StreamId | None = None
    last: int = 0
    most: int = 0
    is_refused: bool = False
    is_over: bool = False


class Lanes:
    """The latest epoch of each lane, least recently used first.

    Nobody tells a worker when a lane ends, so the record unused for longest makes room. Should its
    lane speak again, `Data.egress` brings the stream back: an owner names it from the first
    progress report on, and a lane idle for 65,536 others has had that.
    """

    def __init__(self, max_lanes: int = MAX_LANES) -> None:
        self._max_lanes = max_lanes
        self._epochs: dict[LaneKey, Epoch] = {}
        self._by_stream: dict[StreamId, set[LaneKey]] = {}

    def __len__(self) -> int:
        return len(self._epochs)

    def find(self, key: LaneKey) -> Epoch | None:
        """The lane's latest epoch."""
        epoch = self._epochs.pop(key, None)
        if epoch is not None:
            self._epochs[key] = epoch  # now the most recently used
        return epoch

    def begin(self, key: LaneKey, pair: DomainPair, number: int) -> Epoch:
        """A new epoch in place of the lane's earlier one, if there was one."""
        self._forget(key)
        while len(self._epochs) >= self._max_lanes:
            self._forget(next(iter(self._epochs)))
        epoch = self._epochs[key] = Epoch(pair, number)
        return epoch

    def bind(self, key: LaneKey, stream: StreamId) -> None:
        """From now on the lane's epoch leaves on this stream and no other."""
        self._epochs[key].stream = stream
        self._by_stream.setdefault(stream, set()).add(key)

    def refuse(self, key: LaneKey, number: int) -> None:
        """A run of this epoch is rejected."""
        epoch = self._epochs.get(key)
        if epoch is not None and epoch.number == number:
            epoch.is_refused = True

    def end(self, stream: StreamId, pair: DomainPair) -> None:
        """The stream carries the pair no more: the pair's epochs on it are over."""
        keys = self._by_stream.get(stream, ())
        self._end(stream, [key for key in keys if self._epochs[key].pair == pair])

    def end_attachment(self, stream: StreamId) -> None:
        """The stream is no hosted domain's any more: all epochs on it are over."""
        self._end(stream, list(self._by_stream.get(stream, ())))

    def acceptor_gone(self, acceptor: str) -> list[tuple[LaneKey, Epoch]]:
        """Its streams and its lanes went with it; the epochs of others' lanes that left there.

        Those that were over, too: nobody will return them to their owners.
        """
        for key in [key for key in self._epochs if key[0] == acceptor]:
            self._forget(key)
        for stream in [stream for stream in self._by_stream if stream.acceptor == acceptor]:
            self.end_attachment(stream)
        return [
            (key, epoch)
            for key, epoch in self._epochs.items()
            if epoch.stream is not None and epoch.stream.acceptor == acceptor
        ]

    def shards_lost(self, shards: Collection[int]) -> None:
        """The next owner decides; should we ever win them back, we start from nothing."""
        for key in [k for k, epoch in self._epochs.items() if shard_of(*epoch.pair) in shards]:
            self._forget(key)

    def _end(self, stream: StreamId, keys: Iterable[LaneKey]) -> None:
        for key in keys:
            self._epochs[key].is_over = True
            self._unbind(key, stream)

    def _forget(self, key: LaneKey) -> None:
        epoch = self._epochs.pop(key, None)
        if epoch is not None and epoch.stream is not None:
            self._unbind(key, epoch.stream)

    def _unbind(self, key: LaneKey, stream: StreamId) -> None:
        bound = self._by_stream.get(stream)
        if bound is not None:
            bound.discard(key)
            if not bound:
                del self._by_stream[stream]
