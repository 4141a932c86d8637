"""An acceptor as a process: its loop, its sockets, its supervisor."""

import argparse
import asyncio
import os
import random
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import cast

import structlog
import uvloop
import zmq

from router import affinity, collector, log
from router.acceptor.acceptor import Acceptor
from router.acceptor.dialling.dns import Resolver
from router.acceptor.drain import Drainer
from router.acceptor.listener import Kind, Listener
from router.acceptor.questions import answer
from router.config import Config, read_snapshot
from router.peer_memory import Fact, Learned
from router.wire.control import (
    DRAIN_END,
    LEAVE_LIMIT_S,
    ORPHAN_GRACE_S,
    Ask,
    Beat,
    Drain,
    Drained,
    Hello,
    Leaving,
    Membership,
    Message,
    PeerFacts,
    Ready,
    Reload,
    Reloaded,
    answers,
    peer_facts,
)
from router.wire.control_link import ControlLink, beat, connect, seek
from router.wire.endpoints import bus_endpoint

logger = structlog.get_logger()

_NEWS_S = 0.05
_SETTLE_LIMIT_S = 2.0
_SETTLE_STEP_S = 0.005
_PHASES = (0, 1, 2, 3, 4)


class Process:
    """The acceptor's life from its first message to the supervisor to its exit.

    `snapshot` is where the supervisor keeps the configuration.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        own_id: str,
        snapshot: Path = Path(),
    ) -> None:
        self._loop = loop
        self._config = config
        self._id = own_id
        self._snapshot = snapshot
        self._control = ""
        self._sockets: Mapping[Kind, list[socket.socket]] = {}
        self._orphaned_at: float | None = None
        self._is_leaving = False
        self._is_draining = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._acceptor = Acceptor(
            loop,
            config,
            own_id,
            bus_endpoint(config.processes.run_dir, own_id),
            self._context,
            Resolver(config.dns, loop.time, random.Random()),
            self._learned,
        )
        self._news: dict[tuple[str, Fact, str], Learned] = {}
        self._told_at = 0.0
        self._listener = Listener(loop, self._acceptor.openings, self._acceptor.admission)
        self._drainer = Drainer(loop, self._acceptor, self._listener)
        self._link: ControlLink | None = None
        self._end = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, control: str, sockets: Mapping[Kind, list[socket.socket]]) -> None:
        """Serve until told to end."""
        self._loop.add_signal_handler(signal.SIGTERM, self._terminate)
        self._loop.add_signal_handler(signal.SIGINT, lambda: None)
        self._control, self._sockets = control, sockets
        link = await connect(control, self._received, self._orphaned)
        link.send(Hello(self._id, os.getpid(), self._config.digest()))
        self._joined(link)
        await self._settle()
        await self._listener.open(sockets)
        await self._end.wait()
        self._listener.close()
        self._tell_news()
        self._send(Beat(self._acceptor.snapshot()))
        self._acceptor.close()
        if self._link is not None:
            self._link.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.sleep(0)
        self._context.destroy(linger=0)

    async def _settle(self) -> None:
        """Let nobody in before the workers know of us; who knocks waits in the kernel's queue.

        Else stanzas for a stream of ours that come by another acceptor could find no way.
        """
        deadline = self._loop.time() + _SETTLE_LIMIT_S
        while not (self._acceptor.is_settled() or self._end.is_set()):
            if self._loop.time() >= deadline:
                logger.warning("acceptor.not_settled", after_s=_SETTLE_LIMIT_S)
                break
            await asyncio.sleep(_SETTLE_STEP_S)

    def _joined(self, link: ControlLink) -> None:
        self._link = link
        link.send(Ready())
        self._start(beat(link, self._acceptor.snapshot))
        if self._is_leaving:
            link.send(Leaving())

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _received(self, message: Message) -> None:
        if isinstance(message, Membership):
            self._orphaned_at = None
            self._acceptor.membership(message)
        elif isinstance(message, Ask):
            found = answer(message, self._acceptor, self._id, self._loop.time())
            for part in answers(message.request, found):
                self._send(part)
        elif isinstance(message, PeerFacts):
            self._acceptor.memory.take_all(message.facts)
        elif isinstance(message, Reload):
            self._send(Reloaded(message.number, self._reload()))
        elif isinstance(message, Drain):
            self._start(self._drain((message.phase,)))

    def _reload(self) -> tuple[str, ...]:
        """Go by the supervisor's new snapshot; what cannot be done."""
        try:
            config = read_snapshot(self._snapshot)
        except (OSError, ValueError) as error:
            return (f"the snapshot cannot be read: {error}",)
        log.configure(self._id, config.log.level, (*self._config.secrets(), *config.secrets()))
        self._config = config
        return self._acceptor.reload(config)

    def _learned(self, learned: Learned) -> None:
        """For the other processes: at once, or with all else that is learned shortly after that."""
        if not self._news:
            due = max(self._told_at + _NEWS_S, self._loop.time())
            self._loop.call_at(due, self._tell_news)
        self._news[learned.domain, learned.fact, learned.local] = learned

    def _tell_news(self) -> None:
        self._told_at = self._loop.time()
        news = [learned.to_plain() for learned in self._news.values()]
        self._news.clear()
        for message in peer_facts(news):
            self._send(message)

    def _send(self, message: Message) -> None:
        if self._link is not None:
            self._link.send(message)

    async def _drain(self, phases: tuple[int, ...]) -> None:
        self._is_draining = True
        for phase in phases:
            await self._drainer.phase(phase)
            self._send(Drained(phase))
            if phase == DRAIN_END:
                self._end.set()

    def _terminate(self) -> None:
        """SIGTERM to this process alone: the supervisor replaces us; without one, or asked again,
        all phases, then the end.
        """
        if self._link is None or self._is_leaving:
            self._drain_alone()
            return
        self._is_leaving = True
        self._send(Leaving())
        self._loop.call_later(LEAVE_LIMIT_S, self._drain_alone)

    def _drain_alone(self) -> None:
        if not self._is_draining:
            self._start(self._drain((*_PHASES, DRAIN_END)))

    def _orphaned(self) -> None:
        """The supervisor is gone: serve on for a while, for another one; then close in order."""
        self._link = None
        if self._is_draining:
            self._start(self._drain((*_PHASES, DRAIN_END)))  # nobody tells us the phases any more
            return
        if self._orphaned_at is None:
            self._orphaned_at = self._loop.time()
            logger.warning("supervisor.lost", serving_on_s=ORPHAN_GRACE_S)
        self._start(self._seek(self._orphaned_at + ORPHAN_GRACE_S))

    async def _seek(self, until_s: float) -> None:
        """Look for a supervisor that takes us on; it gets our listening sockets back."""
        inherited = [(kind, each) for kind, sockets in self._sockets.items() for each in sockets]
        hello = Hello(
            self._id, os.getpid(), self._config.digest(), tuple(kind for kind, _ in inherited)
        )
        sockets = [each for _, each in inherited]
        link = await seek(self._control, hello, sockets, self._received, self._orphaned, until_s)
        if link is None:
            self._drain_alone()
            return
        self._joined(link)
        for message in peer_facts([each.to_plain() for each in self._acceptor.memory.everything()]):
            self._send(message)


def _inherited(listen: list[str]) -> dict[Kind, list[socket.socket]]:
    """Sockets from "kind:fd" arguments."""
    sockets: dict[Kind, list[socket.socket]] = {}
    for each in listen:
        kind, _, fd = each.partition(":")
        sockets.setdefault(cast(Kind, kind), []).append(socket.socket(fileno=int(fd)))
    return sockets


def main(run: Callable[..., None] = uvloop.run) -> None:
    """Arguments, then the loop."""
    parser = argparse.ArgumentParser(prog="router.acceptor")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--incarnation", type=int, required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--listen", action="append", default=[])
    arguments = parser.parse_args()
    own_id = f"a{arguments.slot}.{arguments.incarnation}"
    log.configure(own_id)
    config = read_snapshot(arguments.config)
    log.configure(own_id, config.log.level, config.secrets())

    if config.processes.pin:
        affinity.pin(arguments.slot)

    async def serve() -> None:
        process = Process(asyncio.get_running_loop(), config, own_id, arguments.config)
        await process.run(arguments.control, _inherited(arguments.listen))

    collector.settle()
    run(serve())
