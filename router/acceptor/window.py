"""Whose stanzas still find room, and which streams wait until others have been handed over.

Bounds what the acceptor keeps, for a stream and in all. A stream waits for lanes whose peers read,
however slowly; for a peer that does not read nobody waits: its stanzas are refused once they fill
the lane's window (design, head of line). Called by `ingress`.
"""

from collections.abc import Iterable
from typing import Final

from router.acceptor.connection import Connection
from router.wire.lane import Lane, Pace
from router.wire.owner import Owner

_CROWDED_BYTES: Final = 65_536
"""What a stream may have open while more than half of all room is taken."""

_ERRORS: Final = 4
"""An error for a short stanza is some three times as long: a lane that fails whole must fit."""


class Window:
    """`stream_bytes` bounds a stream and a lane, `retention_bytes` all of them together."""

    def __init__(self, owner: Owner, stream_bytes: int, retention_bytes: int) -> None:
        self._owner = owner
        self._stream_bytes = stream_bytes
        self._retention_bytes = retention_bytes
        self._is_pressed = False
        self._tightest_bytes = stream_bytes  # the smallest share by which anybody was paused
        self._paused: dict[int, Connection] = {}
        self._stuck: dict[int, dict[int, Lane]] = {}  # by stream, then by number

    def has_room(self, connection: Connection, lane: Lane) -> bool:
        """Whether a run may be kept; False only where the other side does not read."""
        stuck = self._stuck.get(connection.number)
        if not stuck or lane.number not in stuck:
            return True
        return lane.kept_bytes <= self._stream_bytes and not self._is_crowded()

    def has_room_back(self, lane: Lane) -> bool:
        """Whether one more error may be kept for its reader; no stream pays for these."""
        return lane.kept_bytes <= self._stream_bytes * _ERRORS

    def kept(self, connection: Connection, octets: int) -> None:
        """So much more is kept at the expense of this stream."""
        connection.kept_bytes += octets
        if connection.kept_bytes > self._share():
            self._judge(connection)

    def released(self, connection: Connection, octets: int) -> None:
        """So much is kept no longer."""
        connection.kept_bytes -= octets
        if connection.number in self._stuck:
            self._forgive(connection)
        if self._paused:
            self._judge_all((connection,))

    def pace_changed(self, connection: Connection, lane: Lane) -> None:
        """The lane's peer has stopped reading, or begun again."""
        if lane.pace is Pace.STUCK:
            self._stuck.setdefault(connection.number, {})[lane.number] = lane
        self._forgive(connection)
        self._judge(connection)

    def _forgive(self, connection: Connection) -> None:
        """Who reads again is waited for again, once it has caught up by half."""
        stuck = self._stuck.get(connection.number, {})
        for lane in list(stuck.values()):
            if lane.pace is not Pace.STUCK and lane.kept_bytes <= self._stream_bytes // 2:
                del stuck[lane.number]
        if not stuck:
            self._stuck.pop(connection.number, None)

    def press(self, is_pressed: bool) -> None:
        """Half of each stream's share from now on, or all of it again (`overload`)."""
        self._is_pressed = is_pressed
        self._judge_all(())

    def pause(self, connection: Connection) -> None:
        """The stream waits until it has come below half of its share."""
        self._paused[connection.number] = connection
        self._tightest_bytes = min(self._tightest_bytes, self._share())
        connection.pause_reading()

    def gone(self, connection: Connection) -> None:
        """The stream brings nothing any more."""
        self._paused.pop(connection.number, None)
        self._stuck.pop(connection.number, None)

    def _is_crowded(self) -> bool:
        return self._owner.kept_bytes > self._retention_bytes // 2

    def _share(self) -> int:
        """What a stream may have open now, in octets."""
        if self._owner.kept_bytes > self._retention_bytes:
            return 0
        share = (
            min(self._stream_bytes, _CROWDED_BYTES) if self._is_crowded() else self._stream_bytes
        )
        return share // 2 if self._is_pressed else share

    def _judge_all(self, connections: Iterable[Connection]) -> None:
        """Look at these, or at everybody who waits if there is more room than there was."""
        share = self._share()
        if share > self._tightest_bytes:
            self._tightest_bytes = share
            connections = list(self._paused.values())
        for connection in connections:
            self._judge(connection)

    def _judge(self, connection: Connection) -> None:
        share = self._share()
        stuck = self._stuck.get(connection.number, {})
        moving = connection.kept_bytes - sum(lane.kept_bytes for lane in stuck.values())
        if moving > share:
            self._tightest_bytes = min(self._tightest_bytes, share)
            self._paused[connection.number] = connection
            connection.pause_reading()
        elif moving <= share // 2 and self._paused.pop(connection.number, None) is not None:
            connection.resume_reading()
