"""The acceptor's place on the bus: which worker owns a shard right now, and the way to it.

Owns the ROUTER socket that workers and other acceptors connect to, a DEALER to every other
acceptor, and the rule for a shard's new owner: it hears our announcements before any stanza, and
gets stanzas once every acceptor has said what it took from the owner before (`syncs`).
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog
import zmq

from router.acceptor.syncs import Syncs
from router.wire.bus import DealerSocket, RouterSocket
from router.wire.codec import BadFrame, decode, encode, has_form
from router.wire.control import Membership
from router.wire.frames import Announced, Frame, Joined, Sync, Synced
from router.wire.leases import Leases
from router.wire.shard import SHARDS

log = structlog.get_logger()

_EARLY_ACCEPTORS: Final = 64
_EARLY_FRAMES: Final = 10_000  # to each


class Links:
    """Frames to and from workers and acceptors.

    `on_frame(source, frame)` gets every frame but Joined and Synced. `announce(worker, shards)`
    must send what a new owner has to know, `replay(shards)` the runs it has to route.
    `came()` reports that another acceptor can be reached, `gone(acceptor)` one that is no more;
    `lost(acceptor, shards, is_told)` that the workers of these shards have told what they had
    forwarded to it, or that nobody can tell any more; `crashed(shards)` that their worker ended by
    itself. `leases` is kept current.
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
        came: Callable[[], None],
        gone: Callable[[str], None],
        lost: Callable[[str, frozenset[int], bool], None],
        crashed: Callable[[frozenset[int]], None],
    ) -> None:
        self._loop = loop
        self._context = context
        self._own_id = own_id
        self._on_frame = on_frame
        self._announce = announce
        self._replay = replay
        self._came = came
        self._gone = gone
        self._lost = lost
        self._crashed = crashed
        self.leases = Leases()
        self.bad_frames = 0
        self._version = 0
        self._leased_since = [0] * SHARDS
        self._announced = [False] * SHARDS
        self._syncs = Syncs()
        self._joined: dict[str, int] = {}
        self._dealers: dict[str, DealerSocket] = {}
        self._latest: dict[str, int] = {}  # incarnations, by slot
        self._early: dict[str, list[Frame]] = {}
        self._untold: dict[str, set[int]] = {}  # acceptors gone → shards whose worker knows it not
        self._router = RouterSocket(loop, context, endpoint, self._received)

    def to_shard(self, shard: int, frame: Frame) -> None:
        """To the shard's owner. Without one it is dropped: the next owner is told all again."""
        if self._announced[shard]:
            self._router.send(self.leases.owners[shard], encode(frame))

    def to_worker(self, worker: str, frame: Frame) -> None:
        """To this worker; dropped when it is gone."""
        self._router.send(worker, encode(frame))

    def to_all_workers(self, frame: Frame) -> None:
        """To every worker that has joined; one that cannot be reached any more is forgotten."""
        parts = encode(frame)
        self._joined = {w: v for w, v in self._joined.items() if self._router.send(w, parts)}

    def to_acceptor(self, acceptor: str, frame: Frame) -> None:
        """To an acceptor, ourselves included; dropped if it is gone or has no such frames.

        One that the supervisor has told us nothing of yet may have heard of us, and have asked.
        """
        if acceptor == self._own_id:
            self._loop.call_soon(self.happened, acceptor, frame)
        elif (dealer := self._dealers.get(acceptor)) is not None:
            if has_form(frame, version := self.leases.version_of(acceptor)):
                dealer.send(encode(frame, version))
        elif self._is_to_come(acceptor):
            early = self._early.setdefault(acceptor, [])
            if len(early) < _EARLY_FRAMES:
                early.append(frame)

    def _is_to_come(self, acceptor: str) -> bool:
        slot, _, incarnation = acceptor.partition(".")
        is_later = incarnation.isdecimal() and int(incarnation) > self._latest.get(slot, 0)
        return is_later and (acceptor in self._early or len(self._early) < _EARLY_ACCEPTORS)

    def membership(self, message: Membership) -> None:
        """Take the supervisor's word on who is here and who owns what."""
        self._version = message.version
        self.leases.speaks.clear()
        self.leases.speaks.update(message.speaks)
        leases, anew, crashed = self.leases, [], set()
        for shard, lease in enumerate(zip(message.owners, message.generations, strict=True)):
            if lease != (leases.owners[shard], leases.generations[shard]):
                if leases.owners[shard] in message.crashed:
                    crashed.add(shard)
                leases.lease(shard, *lease)
                self._leased_since[shard] = message.version
                self._announced[shard] = False
                anew.append((shard, lease[1]))
        acceptors = [acceptor for acceptor, _ in message.acceptors]
        has_come = not leases.acceptors.issuperset(acceptors)
        gone = self._connect(dict(message.acceptors))
        leases.acceptors.clear()
        leases.acceptors.update(acceptors)
        leases.fence(anew)
        if crashed:
            self._crashed(frozenset(crashed))
        for acceptor in gone:
            self._gone(acceptor)
        self._sync(anew, acceptors)
        if has_come:
            self._came()
        for worker in list(self._joined):
            self._introduce(worker)

    def _sync(self, anew: list[tuple[int, int]], acceptors: list[str]) -> None:
        """Have every acceptor that can say what it took of the shards that are leased anew."""
        acceptors = [each for each in acceptors if self.leases.keeps_lanes(each)]
        self._syncs.only(acceptors)
        if anew and acceptors:
            number = self._syncs.begin([shard for shard, _ in anew], acceptors)
            for acceptor in acceptors:
                self.to_acceptor(acceptor, Sync(number, tuple(anew)))

    def _know(self, shards: Iterable[int], *, is_told: bool) -> None:
        """What went to acceptors that died is known of these shards, or never will be.

        Not known where the worker was replaced before it could tell. The next one forwarded nothing
        yet, so its word counts for nothing; what the living have taken must be known first.
        """
        for acceptor, untold in list(self._untold.items()):
            if settled := untold.intersection(shards):
                untold -= settled
                if not untold:
                    del self._untold[acceptor]
                self._lost(acceptor, frozenset(settled), is_told)

    def _connect(self, acceptors: dict[str, str]) -> list[str]:
        """Open a way to those that are new; those that are gone."""
        gone = [known for known in self._dealers if known not in acceptors]
        for acceptor in gone:
            self._dealers.pop(acceptor).close()
            self._untold[acceptor] = set(range(SHARDS))
        for acceptor, endpoint in acceptors.items():
            if acceptor != self._own_id and acceptor not in self._dealers:
                self._dealers[acceptor] = DealerSocket(
                    self._loop, self._context, endpoint, self._own_id, self._unexpected
                )
                slot, _, incarnation = acceptor.partition(".")
                self._latest[slot] = max(self._latest.get(slot, 0), int(incarnation or 0))
                for frame in self._early.pop(acceptor, ()):
                    self.to_acceptor(acceptor, frame)
        for late in [each for each in self._early if not self._is_to_come(each)]:
            del self._early[late]
        return gone

    def is_settled(self) -> bool:
        """Whether there is a worker for every shard, and each has been told what we carry."""
        return all(self.leases.live)

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
            self.happened(source, frame)

    def happened(self, source: str, frame: Frame) -> None:
        """A frame has come, over the bus or from ourselves."""
        if isinstance(frame, Synced):
            if self._syncs.answered(source, frame.number):
                for worker in list(self._joined):
                    self._go_live(worker)
        else:
            self._on_frame(source, frame)

    def _unexpected(self, parts: list[bytes]) -> None:
        """Acceptors answer on their own DEALER, so nothing comes back on ours."""
        self.bad_frames += 1

    def _introduce(self, worker: str) -> None:
        """Tell a worker what it must know of shards it has won; then it may get their runs.

        Before it joined a membership, it has said all it had to say of those before: also what had
        gone to an acceptor that died.
        """
        version = self._joined[worker]
        if version > self._version:
            return  # our own membership is late; it will bring us back here
        owned = {shard for shard in range(SHARDS) if self.leases.owners[shard] == worker}
        if version == self._version:
            live = [shard for shard in owned if self.leases.live[shard]]
            self._know(live, is_told=self.leases.keeps_lanes(worker))
        won = frozenset(
            shard
            for shard in owned
            if not self._announced[shard] and self._leased_since[shard] <= version
        )
        self._announce(worker, won)
        self._router.send(worker, encode(Announced(version)))
        for shard in won:
            self._announced[shard] = True
        self._go_live(worker)

    def _go_live(self, worker: str) -> None:
        """Begin to send the runs of its shards, where that may begin."""
        live = self.leases.live
        begin = frozenset(
            shard
            for shard, owner in enumerate(self.leases.owners)
            if owner == worker
            and self._announced[shard]
            and not live[shard]
            and self._syncs.is_complete(shard)
        )
        self._know(begin, is_told=False)
        for shard in begin:
            live[shard] = True
        if begin:
            self._replay(begin)

    def close(self, frames: Iterable[tuple[str, Frame]] = ()) -> None:
        """Send the last frames, then leave the bus."""
        for acceptor, frame in frames:
            self.to_acceptor(acceptor, frame)
        for dealer in self._dealers.values():
            dealer.close()
        self._router.close()
