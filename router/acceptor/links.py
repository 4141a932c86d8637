"""The acceptor's place on the bus: which worker owns a shard right now, and the way to it.

Owns the ROUTER socket that workers and other acceptors connect to, a DEALER to every other
acceptor, and the rule that a shard's new owner hears our announcements before any stanza.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog
import zmq

from router.wire.bus import DealerSocket, RouterSocket
from router.wire.codec import BadFrame, decode, encode
from router.wire.control import Membership
from router.wire.frames import Announced, Frame, Joined
from router.wire.shard import SHARDS

log = structlog.get_logger()


class Links:
    """Frames to and from workers and acceptors.

    `on_frame(source, frame)` gets every frame but Joined. `announce(worker, shards)` must send what
    a new owner has to know, `replay(shards)` the runs it has to route. `gone(acceptor, shards)`
    reports an acceptor that is no more, once the workers of these shards know it. `generations` is
    kept current, by shard.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: zmq.Context[zmq.Socket[bytes]],
        own_id: str,
        endpoint: str,
        *,
        on_frame: Callable[[str, Frame], None],
        announce: Callable[[str, frozenset[int]], None],
        replay: Callable[[frozenset[int]], None],
        gone: Callable[[str, frozenset[int]], None],
    ) -> None:
        self._loop = loop
        self._context = context
        self._own_id = own_id
        self._on_frame = on_frame
        self._announce = announce
        self._replay = replay
        self._gone = gone
        self.generations = [0] * SHARDS
        self.bad_frames = 0
        self._version = 0
        self._owners = [""] * SHARDS
        self._owned_since = [0] * SHARDS
        self._live = [False] * SHARDS
        self._joined: dict[str, int] = {}
        self._dealers: dict[str, DealerSocket] = {}
        self._unsettled: dict[str, set[int]] = {}  # acceptors gone → shards not told yet
        self._router = RouterSocket(loop, context, endpoint, self._received)

    def to_shard(self, shard: int, frame: Frame) -> None:
        """To the shard's owner. Without one it is dropped: the next owner is told all again."""
        if self._live[shard]:
            self._router.send(self._owners[shard], encode(frame))

    def to_worker(self, worker: str, frame: Frame) -> None:
        """To this worker; dropped when it is gone."""
        self._router.send(worker, encode(frame))

    def to_all_workers(self, frame: Frame) -> None:
        """To every worker that has joined; one that cannot be reached any more is forgotten."""
        parts = encode(frame)
        self._joined = {w: v for w, v in self._joined.items() if self._router.send(w, parts)}

    def to_acceptor(self, acceptor: str, frame: Frame) -> None:
        """To an acceptor, ourselves included; dropped when it is gone."""
        if acceptor == self._own_id:
            self._loop.call_soon(self._on_frame, acceptor, frame)
        elif (dealer := self._dealers.get(acceptor)) is not None:
            dealer.send(encode(frame))

    def membership(self, message: Membership) -> None:
        """Take the supervisor's word on who is here and who owns what."""
        self._version = message.version
        self._connect(dict(message.acceptors))
        for shard, owner in enumerate(message.owners):
            self.generations[shard] = message.generations[shard]
            if owner != self._owners[shard]:
                self._owners[shard] = owner
                self._owned_since[shard] = message.version
                self._live[shard] = False
        for worker in list(self._joined):
            self._introduce(worker)

    def _connect(self, acceptors: dict[str, str]) -> None:
        for gone in [known for known in self._dealers if known not in acceptors]:
            self._dealers.pop(gone).close()
            self._unsettled[gone] = set(range(SHARDS))
        for acceptor, endpoint in acceptors.items():
            if acceptor != self._own_id and acceptor not in self._dealers:
                self._dealers[acceptor] = DealerSocket(
                    self._loop, self._context, endpoint, self._own_id, self._unexpected
                )

    def _received(self, source: str, parts: list[bytes]) -> None:
        try:
            frame = decode(parts)
        except BadFrame as error:
            self.bad_frames += 1
            log.error("bus.bad_frame", source=source, reason=str(error))
            return
        if isinstance(frame, Joined):
            self._joined[source] = frame.version
            self._introduce(source)
        else:
            self._on_frame(source, frame)

    def _unexpected(self, parts: list[bytes]) -> None:
        """Acceptors answer on their own DEALER, so nothing comes back on ours."""
        self.bad_frames += 1

    def _introduce(self, worker: str) -> None:
        """Tell a worker what it must know for shards it has won, then send it their runs."""
        version = self._joined[worker]
        if version > self._version:
            return  # our own membership is late; it will bring us back here
        won = self._won(worker, version)
        self._announce(worker, won)
        self._router.send(worker, encode(Announced(version)))
        for shard in won:
            self._live[shard] = True
        self._settle_gone(worker)
        if won:
            self._replay(won)

    def _settle_gone(self, worker: str) -> None:
        """Report acceptors that are gone, for the shards of a worker that knows it, too.

        Were it told before, it could route what is sent again to the dead acceptor's streams.
        """
        if self._joined[worker] < self._version:
            return
        owned = {shard for shard in range(SHARDS) if self._owners[shard] == worker}
        for acceptor, shards in list(self._unsettled.items()):
            if settled := frozenset(shards & owned):
                self._gone(acceptor, settled)
                shards -= settled
            if not shards:
                del self._unsettled[acceptor]

    def _won(self, worker: str, version: int) -> frozenset[int]:
        return frozenset(
            shard
            for shard in range(SHARDS)
            if self._owners[shard] == worker
            and not self._live[shard]
            and self._owned_since[shard] <= version
        )

    def close(self, frames: Iterable[tuple[str, Frame]] = ()) -> None:
        """Send the last frames, then leave the bus."""
        for acceptor, frame in frames:
            self.to_acceptor(acceptor, frame)
        for dealer in self._dealers.values():
            dealer.close()
        self._router.close()
