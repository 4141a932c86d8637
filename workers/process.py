"""One worker process: moves frames between the bus and `Routing`, and obeys the supervisor.

Decides nothing about stanzas. It holds none either: killed at any moment, it takes nothing along.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import zmq

from router.config import Config
from router.log import logger
from router.metrics import Counters, Row
from router.wire import control_link
from router.wire.bus import DealerSocket
from router.wire.codec import BadFrame, decode, encode
from router.wire.control import (
    ORPHAN_DRAIN_S,
    ORPHAN_GRACE_S,
    Ask,
    Beat,
    Drain,
    Hello,
    Membership,
    Message,
    Ready,
    answers,
)
from router.wire.control_link import ControlLink
from workers.routing import Routing, Send

log = logger(__name__)

_END: Final = 5  # the drain phase that ends the process


class Worker:
    """The process called `worker_id` ("w2.1"). `run` once; `stop` ends it."""

    def __init__(self, worker_id: str, config: Config) -> None:
        self._id = worker_id
        self._routing = Routing(frozenset(config.hosted), config.limits)
        self._loop = asyncio.get_running_loop()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._acceptors: dict[str, DealerSocket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._counters = Counters()
        self._link: ControlLink | None = None
        self._exit_code: asyncio.Future[int] = self._loop.create_future()

    async def run(self, control_socket: Path) -> int:
        """Serve until told to end; the exit code. Raises OSError when nobody supervises."""
        link = await control_link.connect(str(control_socket), self._told, self._orphaned)
        self._link = link
        link.send(Hello(self._id, os.getpid()))
        link.send(Ready())
        beats = self._loop.create_task(control_link.beat(link, self._snapshot))
        try:
            return await self._exit_code
        finally:
            beats.cancel()
            link.close()
            self._close_bus()

    def stop(self, exit_code: int = 0) -> None:
        """End the process."""
        if not self._exit_code.done():
            self._exit_code.set_result(exit_code)

    # --- the supervisor ---

    def _told(self, message: Message) -> None:
        match message:
            case Membership():
                self._membership(message)
            case Ask(request, "pairs"):
                self._answer(request, self._routing.rows())
            case Ask(request, "explain", (local, remote)):
                either_way = ((local, remote), (remote, local))
                rows = self._routing.rows()
                self._answer(request, [r for r in rows if (r["local"], r["remote"]) in either_way])
            case Drain(phase) if phase == _END:
                if self._link is not None:
                    self._link.send(Beat(self._snapshot()))
                self.stop()
            case Drain():
                self._send_all(self._routing.drain(self._loop.time()))

    def _answer(self, request: int, rows: Sequence[dict[str, object]]) -> None:
        if self._link is not None:
            for answer in answers(request, rows):
                self._link.send(answer)

    def _membership(self, message: Membership) -> None:
        here = dict(message.acceptors)
        for acceptor in self._acceptors.keys() - here.keys():
            self._acceptors.pop(acceptor).close()
        for acceptor in here.keys() - self._acceptors.keys():
            received = partial(self._received, acceptor)
            self._acceptors[acceptor] = DealerSocket(
                self._loop, self._context, here[acceptor], self._id, received
            )
        owned = {
            shard: message.generations[shard]
            for shard, owner in enumerate(message.owners)
            if owner == self._id
        }
        now = self._loop.time()
        self._send_all(self._routing.membership(message.version, frozenset(here), owned, now))

    def _orphaned(self) -> None:
        log.warning("supervisor.gone", serving_on_s=ORPHAN_GRACE_S + ORPHAN_DRAIN_S)
        self._loop.call_later(ORPHAN_GRACE_S + ORPHAN_DRAIN_S, self.stop)

    def _snapshot(self) -> tuple[Row, ...]:
        self._counters.set("causeway_backlog_bytes", value=self._routing.queue_bytes())
        return self._counters.snapshot()

    # --- the bus ---

    def _received(self, acceptor: str, parts: list[bytes]) -> None:
        try:
            frame = decode(parts)
        except BadFrame as error:
            log.error("bus.bad_frame", source=acceptor, reason=str(error))
            return
        self._send_all(self._routing.receive(acceptor, frame, self._loop.time()))

    def _send_all(self, sends: Iterable[Send]) -> None:
        for acceptor, frame in sends:
            if not self._acceptors[acceptor].send(encode(frame)):
                # It cannot be told later without breaking its order; another worker starts afresh.
                log.critical("bus.stuck", acceptor=acceptor)
                self.stop(1)
        self._arm()

    def _arm(self) -> None:
        deadline = self._routing.deadline()
        if deadline is None or (self._timer is not None and self._timer.when() <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._deadline_passed)

    def _deadline_passed(self) -> None:
        self._timer = None
        self._send_all(self._routing.deadline_passed(self._loop.time()))

    def _close_bus(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for dealer in self._acceptors.values():
            dealer.close()
        self._acceptors.clear()
        self._context.term()
