"""From shards to streams: write the runs workers forward, report to their owners how far they got.

A run is done when the peer's kernel has acknowledged its octets (TCP_INFO), which one timer asks
for all streams that wait. Called by the acceptor.
"""

import asyncio
from collections.abc import Callable, Sequence

from router.acceptor.connection import Connection
from router.acceptor.ingress import Ingress
from router.wire.frames import Forward, Frame, Reject, Returned
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.stanza import Counts, cut

_POLL_S = 0.01
_NONE = Counts(0, 0, 0)
_UNREAD = StanzaError.of("resource-constraint", "the other side does not read")


class Egress:
    """All streams of this acceptor, as the lanes see them; `generations` are the shards' now.

    `buffer_bytes` bounds what may wait in one stream for the peer to read (ERR-06).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ingress: Ingress,
        generations: Sequence[int],
        to_acceptor: Callable[[str, Frame], None],
        buffer_bytes: int,
    ) -> None:
        self._loop = loop
        self._generations = generations
        self._ingress = ingress
        self._to_acceptor = to_acceptor
        self._buffer_bytes = buffer_bytes
        self._waiting: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def forward(self, connection: Connection | None, frame: Forward) -> None:
        """Write a run, or return it when its stream does not carry the pair any more.

        What a worker sent that has lost the shard since is dropped: the run's owner sends it again,
        to the new one.
        """
        if frame.generation < self._generations[shard_of(*frame.pair)]:
            return
        if connection is None:
            back = Returned(frame.lane, frame.epoch, frame.first, frame.first - 1)
            self._to_acceptor(frame.owner, back)
            return
        if not connection.may_send(frame.pair):
            if (declined := connection.outlet.decline(frame)) is not None:
                self._to_acceptor(frame.owner, declined)
            return
        if connection.outlet.is_new(frame):
            self._write(connection, frame)
        else:
            connection.outlet.take(frame)
        self._waiting.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(_POLL_S, self._poll)

    def _write(self, connection: Connection, frame: Forward) -> None:
        octets, counts = frame.octets, frame.counts
        limit_bytes = connection.core.peer_limits.max_bytes
        if connection.buffered() + len(octets) > self._buffer_bytes:
            octets, counts = b"", _NONE
            self._reject(frame, frame.first, frame.counts.total, _UNREAD)
        elif limit_bytes is not None and len(octets) > limit_bytes:
            octets, counts = self._within(frame, limit_bytes)
        connection.outlet.take(frame, is_written=octets != b"")
        if octets:
            connection.send_run(frame.pair, octets)
            connection.stanzas_out += counts.total
            self._ingress.count_sent(connection, counts, len(octets))

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

    def _poll(self) -> None:
        self._timer = None
        for connection in list(self._waiting):
            connection.poll_acknowledged()
            self._report(connection)
            if not connection.outlet.is_waiting():
                self._waiting.discard(connection)
        if self._waiting:
            self._timer = self._loop.call_later(_POLL_S, self._poll)

    def _report(self, connection: Connection) -> None:
        for owner, frame in connection.outlet.reports():
            self._to_acceptor(owner, frame)

    def stream_gone(self, connection: Connection) -> None:
        """The socket is closed: what did not arrive goes back to its owners."""
        self._waiting.discard(connection)
        self._report(connection)
        for owner, frame in connection.outlet.close():
            self._to_acceptor(owner, frame)

    def ended(self, connections: list[Connection], owner: str, lane: int) -> None:
        """A lane is over: no stream need remember it."""
        for connection in connections:
            connection.outlet.ended(owner, lane)

    def owner_gone(self, connections: list[Connection], owner: str) -> None:
        """An acceptor died: its lanes are nobody's."""
        for connection in connections:
            connection.outlet.owner_gone(owner)
