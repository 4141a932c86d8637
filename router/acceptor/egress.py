"""From shards to streams: write the runs workers forward, report to their owners how far they got.

A run is done when the peer's kernel has acknowledged its octets (TCP_INFO), which one timer asks
for all streams that wait. Called by the acceptor.
"""

import asyncio
from collections.abc import Callable, Sequence

from router.acceptor.connection import Connection
from router.acceptor.ingress import Ingress
from router.wire.frames import Forward, Frame, Returned
from router.wire.shard import shard_of

_POLL_S = 0.01


class Egress:
    """All streams of this acceptor, as the lanes see them; `generations` are the shards' now."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ingress: Ingress,
        generations: Sequence[int],
        to_acceptor: Callable[[str, Frame], None],
    ) -> None:
        self._loop = loop
        self._generations = generations
        self._ingress = ingress
        self._to_acceptor = to_acceptor
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
        if connection.outlet.take(frame):
            connection.send_run(frame.pair, frame.octets)
            connection.stanzas_out += frame.counts.total
            self._ingress.count_sent(connection, frame.counts, len(frame.octets))
        self._waiting.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(_POLL_S, self._poll)

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
