"""From shards to streams: write the runs workers forward, report to their owners how far they got.

A run is done when the stream's level says so (`router.wire.egress`); one timer asks the kernel for
all streams that wait. A stream whose peer reads slowly holds its lanes back. Called by the
acceptor.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from router.acceptor.connection import Connection
from router.acceptor.ingress import Ingress
from router.acceptor.output import OutputRoom
from router.wire.control import BEAT_INTERVAL_S
from router.wire.egress import Verdict
from router.wire.frames import Forward, Frame, Reject, Returned, Sync, Synced
from router.wire.leases import Leases
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts, cut

_POLL_S: Final = 0.01
_NONE: Final = Counts(0, 0, 0)
_UNREAD: Final = StanzaError.of("resource-constraint", "the other side does not read")

# Shares of what may wait in one stream: from the first on its lanes are held back, below the second
# they go on, with the third between them.
_HIGH: Final = 16
_LOW: Final = 64
_ROOM: Final = 2


class Egress:
    """All streams of this acceptor, as the lanes see them.

    `buffer_bytes` bounds what may wait in one stream for the peer to read (ERR-06), `total_bytes`
    what may in all of them.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ingress: Ingress,
        leases: Leases,
        to_acceptor: Callable[[str, Frame], None],
        buffer_bytes: int,
        total_bytes: int,
    ) -> None:
        self._loop = loop
        self._leases = leases
        self._ingress = ingress
        self._to_acceptor = to_acceptor
        self._buffer_bytes = buffer_bytes
        self._room = OutputRoom(total_bytes)
        self._credit = _ROOM
        self._waiting: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: set[Connection] = set()
        self._reported: set[Connection] = set()
        self._repeat_timer: asyncio.TimerHandle | None = None

    def forward(self, connection: Connection | None, frame: Forward) -> bool:
        """Write a run, or return it when its stream does not carry the pair; then False.

        What a worker sent that has lost the shard since is dropped: the run's owner sends it again,
        to the new one.
        """
        if frame.generation < self._leases.fences[shard_of(*frame.pair)]:
            return True
        if connection is None:
            back = Returned(frame.lane, frame.epoch, frame.first, frame.first - 1)
            self._to_acceptor(frame.owner, back)
            return False
        if not connection.may_send(frame.pair):
            self._tell(frame.owner, connection.outlet.decline(frame))
            return False
        verdict = connection.outlet.judge(frame)
        if verdict is Verdict.NEXT:
            self._write(connection, frame)
        elif verdict is Verdict.SEEN:
            connection.outlet.seen(frame)
        elif verdict is Verdict.GAP:
            self._tell(frame.owner, connection.outlet.drop(frame))
        self._watch(connection)
        return True

    def _tell(self, owner: str, frame: Frame | None) -> None:
        if frame is not None:
            self._to_acceptor(owner, frame)

    def _tell_all(self, frames: Iterable[tuple[str, Frame]]) -> None:
        for owner, frame in list(frames):
            self._to_acceptor(owner, frame)

    def _write(self, connection: Connection, frame: Forward) -> None:
        octets, counts = frame.octets, frame.counts
        outlet, buffered = connection.outlet, connection.buffered()
        if not outlet.is_unacknowledged():
            connection.begins_to_wait()
        is_read = connection.is_read()
        is_full = bool(buffered) and (
            buffered + len(octets) > self._buffer_bytes
            or not self._room.takes(len(octets), is_read=is_read)
        )
        if is_full or not is_read or buffered > self._buffer_bytes // _HIGH:
            self._tell(frame.owner, outlet.hold(frame, is_moving=is_read))
        if is_full and self._leases.keeps_lanes(frame.owner):
            self._tell(frame.owner, outlet.drop(frame))
            return
        limit_bytes = connection.core.peer_limits.max_bytes
        if is_full:
            octets, counts = b"", _NONE
            self._reject(frame, frame.first, frame.counts.total, _UNREAD)
        elif limit_bytes is not None and len(octets) > limit_bytes:
            octets, counts = self._within(frame, limit_bytes)
        outlet.take(frame, counts.total)
        if octets:
            connection.send_run(frame.pair, octets, counts.total)
            connection.stanzas_out += counts.total
            self._ingress.count_sent(connection, counts, len(octets))
            self._room.holds(connection.number, buffered + len(octets))

    def _within(self, frame: Forward, limit_bytes: int) -> tuple[bytes, Counts]:
        """What of the run the peer takes (XEP-0478 §4); the owner bounces the rest.

        Told before any progress, so that the owner counts nothing of it as handed over.
        """
        fitting: list[bytes] = []
        counts = _NONE
        for number, stanza in enumerate(cut(frame.octets), frame.first):
            if len(stanza.octets) <= limit_bytes:
                fitting.append(stanza.octets)
                counts += Counts.one(stanza.kind)
            else:
                text = f"the other server takes at most {limit_bytes} octets"
                self._reject(frame, number, 1, StanzaError.of("policy-violation", text))
        return b"".join(fitting), counts

    def _reject(self, frame: Forward, first: int, count: int, error: StanzaError) -> None:
        back = Reject(
            frame.lane, frame.epoch, first, count, error.condition, error.type, error.text
        )
        self._to_acceptor(frame.owner, back)

    # --- how far it got ---

    def _watch(self, connection: Connection) -> None:
        self._waiting.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(_POLL_S, self._poll)

    def _poll(self) -> None:
        self._timer = None
        for connection in list(self._waiting):
            connection.poll_acknowledged()
            self._report(connection)
            outlet = connection.outlet
            self._room.holds(connection.number, connection.buffered())
            is_read = connection.is_read()
            if is_read is (connection in self._stuck):
                (self._stuck.discard if is_read else self._stuck.add)(connection)
                self._tell_all(outlet.hold_on(is_moving=is_read))
            self.drained(connection)
            if not (outlet.is_waiting() or outlet.is_holding()):
                self._waiting.discard(connection)
        if self._waiting:
            self._timer = self._loop.call_later(_POLL_S, self._poll)

    def drained(self, connection: Connection) -> None:
        """The peer has read; if there is room enough now, the lanes that were held go on."""
        if connection.outlet.is_holding() and connection.is_read():
            buffered = connection.buffered()
            self._room.holds(connection.number, buffered)
            has_room = not buffered or self._room.takes(0, is_read=True)
            if has_room and buffered <= self._buffer_bytes // _LOW:
                room_bytes = self._buffer_bytes // self._credit - buffered
                self._tell_all(connection.outlet.release(room_bytes))

    def acknowledged(self, connection: Connection) -> None:
        """The peer has said how much it has handled: its owners hear of it at once."""
        self._report(connection)

    def _report(self, connection: Connection) -> None:
        self._tell_all(connection.outlet.reports())
        self._tell_all(connection.outlet.left())
        self._reported.add(connection)
        if self._repeat_timer is None:
            self._repeat_timer = self._loop.call_later(BEAT_INTERVAL_S, self._repeat)

    def _repeat(self) -> None:
        """Say everything once more: a report that was lost must not keep anything for good."""
        self._repeat_timer = None
        for connection in self._reported:
            self._tell_all(connection.outlet.repeats())
        self._reported.clear()

    def sync(self, connections: Iterable[Connection], source: str, frame: Sync) -> None:
        """Shards of an owner's have a new worker: what was taken from the one before is final.

        The fence goes up first: what we answer must still be true when it is read.
        """
        self._leases.fence(frame.shards)
        shards = frozenset(shard for shard, _ in frame.shards)
        for connection in connections:
            for report in connection.outlet.of_owner(source, shards):
                self._to_acceptor(source, report)
        self._to_acceptor(source, Synced(frame.number))

    def press(self, is_pressed: bool) -> None:
        """Half of the credit from now on, or all of it again (`overload`)."""
        self._credit = 2 * _ROOM if is_pressed else _ROOM

    @property
    def waiting_bytes(self) -> int:
        """Octets that wait in all streams for their peers to read."""
        return self._room.used_bytes

    # --- ends ---

    def release(self, connection: Connection, pair: DomainPair) -> None:
        """The pair goes by an express lane: each lane, once all of it that was taken is done."""
        connection.outlet.leave(pair)
        self._report(connection)  # what is done is known before anything is returned

    def stream_gone(self, connection: Connection) -> None:
        """The socket is closed: what did not arrive goes back to its owners."""
        self.socket_gone(connection)
        self._tell_all(connection.outlet.close())

    def socket_gone(self, connection: Connection) -> None:
        """The kernel knows no more of this stream; what became of its stanzas may yet be known."""
        self._room.holds(connection.number, 0)
        self._waiting.discard(connection)
        self._stuck.discard(connection)
        self._reported.discard(connection)
        self._tell_all(connection.outlet.reports())

    def ended(self, connections: Iterable[Connection], owner: str, lane: int) -> None:
        """A lane is over: no stream need remember it."""
        for connection in connections:
            connection.outlet.ended(owner, lane)

    def owner_gone(self, connections: Iterable[Connection], owner: str) -> None:
        """An acceptor died: its lanes are nobody's."""
        for connection in connections:
            connection.outlet.owner_gone(owner)
