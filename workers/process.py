"""One worker process: moves frames between the bus and `Routing`, and obeys the supervisor.

Decides nothing about stanzas. It holds none either: killed at any moment, it takes nothing along.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from router.config import Config, read_snapshot
from router.log import configure, logger
from router.metrics import Counters, Row
from router.wire import control_link
from router.wire.bus import DealerSocket
from router.wire.codec import BadFrame, decode, encode, has_form
from router.wire.control import (
    DRAIN_END,
    LEAVE_LIMIT_S,
    ORPHAN_DRAIN_S,
    ORPHAN_GRACE_S,
    SPOKEN,
    Ask,
    Beat,
    Drain,
    Hello,
    Leaving,
    Membership,
    Message,
    Ready,
    Reload,
    Reloaded,
    answers,
)
from router.wire.control_link import ControlLink
from workers.hosted import attaching
from workers.outbox import Send
from workers.routing import Routing

log = logger(__name__)


class Worker:
    """The process called `worker_id` ("w2.1"). `run` once; `stop` ends it, `leave` in good time."""

    def __init__(self, worker_id: str, config: Config) -> None:
        self._id = worker_id
        self._config = config
        self._snapshot_file = Path()
        self._routing = Routing(attaching(config), config.limits, config.servers)
        self._loop = asyncio.get_running_loop()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._acceptors: dict[str, DealerSocket] = {}
        self._speaks: dict[str, int] = {}
        self._timer: asyncio.Handle | None = None
        self._wakes_s = float("inf")  # uvloop's handle of a moment that has come does not say it
        self._counters = Counters()
        self._control = ""
        self._link: ControlLink | None = None
        self._is_leaving = False
        self._orphaned_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._exit_code: asyncio.Future[int] = self._loop.create_future()

    async def run(self, control_socket: Path, snapshot: Path) -> int:
        """Serve until told to end; the exit code. Raises OSError when nobody supervises.

        `snapshot` is where the supervisor keeps the configuration.
        """
        self._control, self._snapshot_file = str(control_socket), snapshot
        link = await control_link.connect(self._control, self._told, self._orphaned)
        link.send(Hello(self._id, os.getpid(), self._config.digest()))
        self._joined(link)
        try:
            return await self._exit_code
        finally:
            for task in self._tasks:
                task.cancel()
            if self._link is not None:
                self._link.close()
            self._close_bus()

    def _joined(self, link: ControlLink) -> None:
        self._link = link
        link.send(Ready())
        self._start(control_link.beat(link, self._snapshot))
        if self._is_leaving:
            link.send(Leaving())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def leave(self) -> None:
        """Asked to end: once another one has our shards, if anybody is there to see to it."""
        if self._link is None or self._is_leaving:
            self.stop()
            return
        self._is_leaving = True
        self._link.send(Leaving())
        self._loop.call_later(LEAVE_LIMIT_S, self.stop)

    def stop(self, exit_code: int = 0) -> None:
        """End the process."""
        if not self._exit_code.done():
            self._exit_code.set_result(exit_code)

    # --- the supervisor ---

    def _told(self, message: Message) -> None:
        match message:
            case Membership():
                self._orphaned_at = None
                self._membership(message)
            case Reload(number):
                self._send(Reloaded(number, self._reload()))
            case Ask(request, "pairs"):
                self._answer(request, self._routing.rows())
            case Ask(request, "explain", (local, remote)):
                either_way = ((local, remote), (remote, local))
                rows = self._routing.rows()
                self._answer(request, [r for r in rows if (r["local"], r["remote"]) in either_way])
            case Drain(phase) if phase == DRAIN_END:
                self._send(Beat(self._snapshot()))
                self.stop()
            case Drain():
                self._send_all(self._routing.drain(self._loop.time()))

    def _answer(self, request: int, rows: Sequence[dict[str, object]]) -> None:
        for answer in answers(request, rows):
            self._send(answer)

    def _send(self, message: Message) -> None:
        if self._link is not None:
            self._link.send(message)

    def _reload(self) -> tuple[str, ...]:
        """Go by the supervisor's new snapshot; what cannot be done."""
        try:
            config = read_snapshot(self._snapshot_file)
        except (OSError, ValueError) as error:
            return (f"the snapshot cannot be read: {error}",)
        configure(self._id, config.log.level, (*self._config.secrets(), *config.secrets()))
        self._config = config
        now = self._loop.time()
        sends = self._routing.reload(attaching(config), config.limits, now, config.servers)
        self._send_all(sends)
        return ()

    def _membership(self, message: Membership) -> None:
        self._speaks = dict(message.speaks)
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
        self._send_all(
            self._routing.membership(
                message.version, frozenset(here), owned, now, retiring=message.retiring
            )
        )

    def _orphaned(self) -> None:
        self._link = None
        if self._orphaned_at is None:
            self._orphaned_at = self._loop.time()
            log.warning("supervisor.gone", serving_on_s=ORPHAN_GRACE_S + ORPHAN_DRAIN_S)
        self._start(self._seek(self._orphaned_at + ORPHAN_GRACE_S + ORPHAN_DRAIN_S))

    async def _seek(self, until_s: float) -> None:
        """Look for a supervisor that takes us on."""
        hello = Hello(self._id, os.getpid(), self._config.digest())
        link = await control_link.seek(
            self._control, hello, (), self._told, self._orphaned, until_s
        )
        if link is None:
            self.stop()
        else:
            self._joined(link)

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
            version = self._speaks.get(acceptor, SPOKEN)
            if not has_form(frame, version):
                continue
            if not self._acceptors[acceptor].send(encode(frame, version)):
                # It cannot be told later without breaking its order; another worker starts afresh.
                log.critical("bus.stuck", acceptor=acceptor)
                self.stop(1)
        self._arm()

    def _arm(self) -> None:
        deadline = self._routing.deadline()
        if deadline is None or self._wakes_s <= deadline:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_s = deadline
        self._timer = self._loop.call_at(deadline, self._deadline_passed)

    def _deadline_passed(self) -> None:
        self._timer, self._wakes_s = None, float("inf")
        self._send_all(self._routing.deadline_passed(self._loop.time()))

    def _close_bus(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for dealer in self._acceptors.values():
            dealer.close()
        self._acceptors.clear()
        self._context.term()
