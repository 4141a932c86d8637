"""The supervisor's loop: what each message, death, silence and signal leads to.

Owns membership, counters and readiness of the node; carries no client traffic. Signals and HTTP are
brought to it by `router.cli.run`.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from router.config import Config
from router.log import logger
from router.metrics import Counters, Ledger
from router.peer_memory import Learned, PeerMemory
from router.supervisor.build import build_labels
from router.supervisor.drain import drain
from router.supervisor.explanation import Explanation, Rules, explanation
from router.supervisor.listeners import Listener, close_listeners
from router.supervisor.membership import Seating
from router.supervisor.processes import Child, Processes, RestartBudget, Role, describe_exit
from router.supervisor.questions import Questions
from router.supervisor.run_dir import RunDir
from router.wire.control import (
    BEAT_INTERVAL_S,
    Answer,
    Beat,
    Drained,
    Hello,
    Membership,
    Message,
    PeerFacts,
    Ready,
    peer_facts,
)
from router.wire.control_link import ControlLink
from router.wire.endpoints import bus_endpoint

log = logger(__name__)

COMMANDS: Final[Mapping[Role, Sequence[str]]] = {
    "acceptor": (sys.executable, "-m", "router.acceptor"),
    "worker": (sys.executable, "-m", "workers"),
}
SPARES: Final = 1
START_RETRY_S: Final = 1.0
HASTENED_WAIT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One process, to show: "starting", "ready" or "spare", and how many shards it owns."""

    id: str
    role: Role
    pid: int
    state: str
    shards: int
    age_s: float


class Supervisor:
    """One per node. `run` once; the other public methods may be called at any time during it."""

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        listeners: Sequence[Listener],
        commands: Mapping[Role, Sequence[str]] = COMMANDS,
    ) -> None:
        self._run_dir = run_dir
        self._listeners = listeners
        self._addresses: dict[str, list[str]] = {}
        for listener in listeners:
            self._addresses.setdefault(listener.kind, []).append(str(listener.address))
        self._slots: dict[Role, range] = {
            "acceptor": range(config.processes.acceptors),
            "worker": range(config.processes.workers + SPARES),
        }
        self._processes = Processes(commands, self._died)
        self._by_link: dict[ControlLink, Child] = {}
        self._budget = RestartBudget()
        self._seating = Seating.vacant(config.processes.workers)
        self._membership = self._current_membership(version=0)
        self._questions = Questions()
        self._config = config
        self._memory = PeerMemory(config, time.time, lambda _: None)
        self._ledger = Ledger()
        self._counters = Counters()
        self._counters.set("causeway_build_info", *build_labels(), value=1)
        self._complete = False
        self._failed = False
        self._stopping = False
        self._hastened_s: float | None = None
        self._news = asyncio.Event()

    # --- what the node shows ---

    def not_ready(self) -> tuple[str, ...]:
        """Why traffic should not come here; empty when it should."""
        if self._stopping:
            return ("draining",)
        up = {(child.role, child.slot) for child in self._processes if child.is_ready}
        reasons = [
            f"{role} {slot} is not up"
            for role, slots in self._slots.items()
            for slot in slots
            if (role == "acceptor" or not self._complete) and (role, slot) not in up
        ]
        if self._complete and not any(self._seating.seats):
            reasons.append("no worker is up")
        return tuple(reasons)

    def listeners(self) -> dict[str, list[str]]:
        """The addresses actually bound, by kind of listener."""
        return self._addresses

    def processes(self) -> list[ProcessView]:
        """The living, by role and slot."""
        now_s = asyncio.get_running_loop().time()
        owners = self._seating.owners
        return [
            ProcessView(
                child.id,
                child.role,
                child.popen.pid,
                self._state(child),
                owners.count(child.id),
                now_s - child.started_s,
            )
            for role in self._slots
            for child in self._processes.of(role)
        ]

    async def streams(self) -> list[dict[str, object]]:
        """One row for each open stream, from all acceptors that answer."""
        return await self._questions.ask("streams", self._that_serve("acceptor"))

    async def pairs(self) -> list[dict[str, object]]:
        """One row for each pair that has a stream, a dial or a backlog, from all workers."""
        return await self._questions.ask("pairs", self._that_serve("worker"))

    async def explain(self, local: str, remote: str) -> Explanation:
        """What is known of the way between two domains, both normalised."""
        everybody = [*self._that_serve("acceptor"), *self._that_serve("worker")]
        rows = await self._questions.ask("explain", everybody, local, remote)
        peer = self._memory.rows(remote)
        hosted = self._config.hosted
        rules = Rules(local in hosted, remote in hosted, self._config.refuses(remote))
        return explanation(local, remote, rules, rows, peer, time.time())

    async def close(self, local: str, remote: str) -> list[dict[str, object]]:
        """Close in order all streams that carry the pair; a row for each."""
        log.info("pair.close_asked", local=local, remote=remote)
        return await self._questions.ask("close", self._that_serve("acceptor"), local, remote)

    def _that_serve(self, role: Role) -> list[Child]:
        return [child for child in self._processes.of(role) if child.is_ready]

    def totals(self) -> dict[str, dict[tuple[str, ...], float]]:
        """As `Ledger.totals`, our own counters included."""
        self._ledger.beat("supervisor", self._counters.snapshot())
        return self._ledger.totals()

    # --- what the operator wants ---

    def stop(self) -> None:
        """Drain and end. Asked a second time: hurry."""
        now_s = asyncio.get_running_loop().time()
        if self._stopping and self._hastened_s is None:
            self._hastened_s = now_s
            log.warning("drain.hastened")
        self._stopping = True
        self._news.set()

    # --- life ---

    async def run(self) -> int:
        """Start everything, keep it alive until `stop`, drain. The exit code: 0, or 1 when
        processes cannot be kept alive. Raises OSError when the first cannot be started.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(self._new_link, str(self._run_dir.control_socket))
        watch = asyncio.create_task(self._watch())
        try:
            self._run_dir.control_socket.chmod(0o600)
            for role, slots in self._slots.items():
                for slot in slots:
                    self._start(role, slot)
            await self._until(lambda: self._stopping)
            watch.cancel()
            log.info("drain.began")
            close_listeners(self._listeners)
            await drain(self._processes, self._until, loop.time)
            log.info("drain.ended")
        finally:
            watch.cancel()
            self._stopping = True
            self._processes.kill_all()
            server.close()
        return 1 if self._failed else 0

    async def _until(self, done: Callable[[], bool], limit_s: float = float("inf")) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while not done():
            deadline_s = began_s + limit_s
            if self._hastened_s is not None:
                deadline_s = min(deadline_s, max(began_s, self._hastened_s) + HASTENED_WAIT_S)
            if loop.time() >= deadline_s:
                return
            self._news.clear()
            left_s = deadline_s - loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if left_s == float("inf") else left_s):
                    await self._news.wait()

    async def _watch(self) -> None:
        """Kill what is silent: a loop that is stuck sends no beat."""
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        while True:
            await asyncio.sleep(BEAT_INTERVAL_S)
            now_s = loop.time()
            late_s = now_s - last_s - BEAT_INTERVAL_S
            last_s = now_s
            for child in self._processes:
                if late_s > BEAT_INTERVAL_S:
                    child.heard_s += late_s  # we were stuck ourselves; their beats lie unread
                elif child.is_silent(now_s):
                    log.error("process.silent", process=child.id, pid=child.popen.pid)
                    child.kill()

    # --- children ---

    def _start(self, role: Role, slot: int) -> None:
        arguments = ["--config", str(self._run_dir.snapshot)]
        arguments += ["--control", str(self._run_dir.control_socket)]
        inherited = [self._run_dir.lock]
        if role == "acceptor":
            for listener in self._listeners:
                fd = listener.sockets[slot].fileno()
                arguments += ["--listen", f"{listener.kind}:{fd}"]
                inherited.append(fd)
        child = self._processes.start(role, slot, arguments, inherited)
        log.info("process.started", process=child.id, pid=child.popen.pid)

    def _restart(self, role: Role, slot: int) -> None:
        if self._stopping and role == "acceptor":
            return
        try:
            self._start(role, slot)
        except OSError as error:
            log.error("process.not_started", process=f"{role[0]}{slot}", reason=str(error))
            if not self._exhausts_budget():
                loop = asyncio.get_running_loop()
                loop.call_later(START_RETRY_S, self._restart, role, slot)
        else:
            self._counters.add("causeway_process_restarts_total", role)

    def _died(self, child: Child, returncode: int) -> None:
        expected = child.dismissed and returncode == 0
        (log.info if expected else log.warning)(
            "process.ended", process=child.id, how=describe_exit(returncode)
        )
        if child.link is None:
            self._ledger.gone(child.id)
        self._questions.gone(child.id)
        if child.is_ready:
            if child.role == "worker":
                self._reseat(self._seating.left(child.id))
            self._announce()
        if self._may_be_replaced(child):
            self._restart(child.role, child.slot)
        self._news.set()

    def _may_be_replaced(self, child: Child) -> bool:
        if child.dismissed or self._failed:
            return False
        young = child.died_young(asyncio.get_running_loop().time())
        return not (young and self._exhausts_budget())

    def _exhausts_budget(self) -> bool:
        exhausted = self._budget.spend(asyncio.get_running_loop().time())
        if exhausted and not self._stopping:
            log.critical("processes.cannot_start", deaths=self._budget.limit)
            self._failed = self._stopping = True
            self._news.set()
        return exhausted

    def _state(self, child: Child) -> str:
        if not child.is_ready:
            return "starting"
        return "spare" if child.id in self._seating.spares else "ready"

    # --- membership ---

    def _reseat(self, seating: Seating) -> None:
        moved = seating.moves - self._seating.moves
        self._counters.add("causeway_shard_owner_changes_total", by=moved)
        self._seating = seating

    def _current_membership(self, version: int) -> Membership:
        acceptors = tuple(
            (child.id, bus_endpoint(self._run_dir.path, child.id))
            for child in self._processes.of("acceptor")
            if child.is_ready
        )
        return Membership(version, acceptors, self._seating.owners, self._seating.generations)

    def _announce(self, newcomer: Child | None = None) -> None:
        """Tell everybody of a change; without one, only the newcomer how things are."""
        told: Iterable[Child] = [newcomer] if newcomer is not None else []
        if self._current_membership(self._membership.version) != self._membership:
            self._membership = self._current_membership(self._membership.version + 1)
            told = (child for child in self._processes if child.is_ready)
        for child in told:
            child.send(self._membership)

    # --- control links ---

    def _new_link(self) -> ControlLink:
        link = ControlLink(lambda message: self._received(link, message), lambda: self._lost(link))
        return link

    def _lost(self, link: ControlLink) -> None:
        child = self._by_link.pop(link, None)
        if link.fault:
            log.error("control.fault", process=child.id if child else "", reason=link.fault)
        if child is not None:
            child.link = None
            if child.popen.returncode is not None:
                self._ledger.gone(child.id)

    def _received(self, link: ControlLink, message: Message) -> None:
        child = self._by_link.get(link)
        if child is None:
            self._greet(link, message)
            return
        child.heard_s = asyncio.get_running_loop().time()
        if isinstance(message, Beat):
            self._ledger.beat(child.id, message.counters)
        elif isinstance(message, PeerFacts):
            self._learned(child, message)
        elif child.popen.returncode is not None:
            return  # the last words of the dead: what they counted and learned still matters
        elif isinstance(message, Ready):
            self._ready(child)
        elif isinstance(message, Answer):
            self._questions.answered(child.id, message)
        elif isinstance(message, Drained):
            child.drained = max(child.drained, message.phase)
            self._news.set()

    def _greet(self, link: ControlLink, message: Message) -> None:
        child = (
            self._processes.find(message.id, message.pid) if isinstance(message, Hello) else None
        )
        if child is None or child.link is not None:
            log.warning("control.stranger", message=type(message).__name__)
            link.close()
            return
        child.link = link
        child.heard_s = asyncio.get_running_loop().time()
        self._by_link[link] = child

    def _ready(self, child: Child) -> None:
        if child.is_ready:
            return
        if self._stopping and child.role == "acceptor":
            child.kill()  # it came too late to serve anybody
            return
        child.ready_s = asyncio.get_running_loop().time()
        if child.role == "worker":
            self._reseat(self._seating.arrived(child.id))
        self._announce(child)
        if child.role == "acceptor":
            for message in peer_facts([each.to_plain() for each in self._memory.everything()]):
                child.send(message)
        log.info("process.ready", process=child.id)
        if not self._complete and not self.not_ready():
            self._complete = True
            log.info("router.ready", listeners=self._addresses)

    def _learned(self, source: Child, message: PeerFacts) -> None:
        """What one acceptor learned, all know, and those that come after it."""
        for plain in message.facts:
            self._memory.take(Learned.from_plain(plain))
        for acceptor in self._that_serve("acceptor"):
            if acceptor is not source:
                acceptor.send(message)
