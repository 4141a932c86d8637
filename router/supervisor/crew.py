"""The role processes as one crew: started, taken on, watched, replaced, told of each other.

What each message, death and silence leads to. Owns the control links and what processes are told of
the membership; when the node begins and ends is the supervisor's.
"""

import asyncio
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from router.config import Config
from router.log import logger
from router.metrics import Counters, Ledger
from router.peer_memory import PeerMemory
from router.supervisor.adoption import Orphan
from router.supervisor.door import Newcomer
from router.supervisor.lease import Lease
from router.supervisor.listeners import Listener
from router.supervisor.news import News
from router.supervisor.processes import Child, Processes, RestartBudget, Role, describe_exit
from router.supervisor.questions import Questions
from router.supervisor.reload import Reloads
from router.supervisor.rolling import Rolling
from router.supervisor.roster import Roster
from router.supervisor.run_dir import RunDir
from router.supervisor.tasks import Tasks
from router.wire.control import (
    BEAT_INTERVAL_S,
    OLDEST,
    SPOKEN,
    Answer,
    Beat,
    Drained,
    Hello,
    Leaving,
    Message,
    PeerFacts,
    Ready,
    Reloaded,
    peer_facts,
)
from router.wire.control_link import ControlLink

log = logger(__name__)

COMMANDS: Final[Mapping[Role, Sequence[str]]] = {
    "acceptor": (sys.executable, "-m", "router.acceptor"),
    "worker": (sys.executable, "-m", "workers"),
}
SPARES: Final = 1
START_RETRY_S: Final = 1.0


class Crew:
    """`news` is told of all that happens; `counters` are the supervisor's own.

    `is_ending`: acceptors are replaced no more. `has_failed`: processes cannot be kept alive.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        listeners: Sequence[Listener],
        commands: Mapping[Role, Sequence[str]],
        lease: Lease | None,
        memory: PeerMemory,
        counters: Counters,
        news: News,
    ) -> None:
        self._run_dir = run_dir
        self._listeners = listeners
        self.slots: dict[Role, range] = {
            "acceptor": range(config.processes.acceptors),
            "worker": range(config.processes.workers + SPARES),
        }
        self.processes = Processes(commands, self._died)
        self.roster = Roster(run_dir.path, run_dir.lease, config.processes.workers, lease)
        self.rolling = Rolling(self.processes, self._start, self._retire, news.until)
        self.reloads = Reloads(news.tell)
        self.questions = Questions()
        self.ledger = Ledger()
        self.tasks = Tasks()
        self.digest = config.digest()
        self.is_ending = False
        self.has_failed = False
        self._by_link: dict[ControlLink, Child] = {}
        self._budget = RestartBudget()
        self._memory = memory
        self._counters = counters
        self._news = news

    def fill(self, orphans: Collection[Orphan]) -> None:
        """Take on who there is, start who is missing. Raises OSError."""
        self._adopt(orphans)
        for role, slots in self.slots.items():
            for slot in slots:
                if self.processes.holder(role, slot) is None:
                    self._start(role, slot)

    async def watch(self) -> None:
        """Kill what is silent: a loop that is stuck sends no beat."""
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        while True:
            await asyncio.sleep(BEAT_INTERVAL_S)
            now_s = loop.time()
            late_s = now_s - last_s - BEAT_INTERVAL_S
            last_s = now_s
            for child in self.processes:
                if late_s > BEAT_INTERVAL_S:
                    child.heard_s += late_s  # we were stuck ourselves; their beats lie unread
                elif child.is_silent(now_s):
                    log.error("process.silent", process=child.id, pid=child.pid)
                    child.kill()

    # --- coming and going ---

    def _adopt(self, orphans: Collection[Orphan]) -> None:
        """Take on who outlived an earlier supervisor, and tell them that somebody is here.

        All at once: a membership with some of them would say that the others are gone.
        """
        now_s = asyncio.get_running_loop().time()
        for orphan in orphans:
            assert orphan.hello is not None, "gathered"
            child = self.processes.adopt(orphan.hello.id, orphan.pid)
            child.ready_s = now_s  # who was not, has ended with the supervisor
            self._greeted(orphan.link, child, orphan.hello)
            self._hand_to_me(orphan.link)
            log.info("process.adopted", process=child.id, pid=child.pid)
        workers = [child.id for child in self.processes.of("worker")]
        self.roster.only(workers)
        for worker in workers:
            self.roster.arrived(worker)
        if orphans:
            self._announce()
        for orphan in orphans:
            for message in orphan.messages:
                self._received(orphan.link, message)
        for child in self.processes:
            if self.processes.holder(child.role, child.slot) is not child:
                self.tasks.run(self.rolling.end(child))  # its replacement had come already

    def _start(self, role: Role, slot: int) -> Child:
        arguments = ["--config", str(self._run_dir.snapshot)]
        arguments += ["--control", str(self._run_dir.control_socket)]
        inherited = [self._run_dir.alive]
        if role == "acceptor":
            for listener in self._listeners:
                fd = listener.sockets[slot].fileno()
                arguments += ["--listen", f"{listener.kind}:{fd}"]
                inherited.append(fd)
        incarnation = self.roster.next_incarnation(role, slot)
        child = self.processes.start(role, slot, incarnation, arguments, inherited)
        log.info("process.started", process=child.id, pid=child.pid)
        return child

    def _restart(self, role: Role, slot: int) -> None:
        if self.is_ending and role == "acceptor":
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

    def _retire(self, child: Child) -> None:
        child.retiring = True
        if child.role == "worker":
            self._move_shards(child)
        self._announce()

    def _move_shards(self, worker: Child) -> None:
        moved_before = self.roster.seating.moves
        self.roster.left(worker.id)
        moved = self.roster.seating.moves - moved_before
        self._counters.add("causeway_shard_owner_changes_total", by=moved)

    def _died(self, child: Child) -> None:
        expected = child.dismissed and child.returncode in (0, None)
        (log.info if expected else log.warning)(
            "process.ended", process=child.id, how=describe_exit(child.returncode)
        )
        if child.link is None:
            self.ledger.gone(child.id)
        self.questions.gone(child.id)
        self.reloads.gone(child.id)
        if child.is_ready:
            if child.role == "worker":
                if child.crashed:
                    self.roster.crashed(child.id)
                self._move_shards(child)
            self._announce()
        if self._may_be_replaced(child):
            self._restart(child.role, child.slot)
        self._news.tell()

    def _may_be_replaced(self, child: Child) -> bool:
        if child.dismissed or self.has_failed:
            return False
        young = child.died_young(asyncio.get_running_loop().time())
        if young and self._exhausts_budget():
            return False
        return self.processes.holder(child.role, child.slot) is None

    def _exhausts_budget(self) -> bool:
        exhausted = self._budget.spend(asyncio.get_running_loop().time())
        if exhausted and not self.is_ending:
            log.critical("processes.cannot_start", deaths=self._budget.limit)
            self.has_failed = self.is_ending = True
            self._news.tell()
        return exhausted

    def _announce(self, newcomer: Child | None = None) -> None:
        """Tell everybody of a change; without one, only the newcomer how things are."""
        told: Iterable[Child] = [newcomer] if newcomer is not None else []
        serving = [*self.processes.that_serve("acceptor"), *self.processes.that_serve("worker")]
        if self.roster.announcement(serving):
            told = serving
        for child in told:
            child.send(self.roster.membership)

    # --- control links ---

    def came(self, newcomer: Newcomer) -> None:
        """Somebody wants to talk; who it is, its Hello says."""
        self._hand_to_me(newcomer.link)
        for each in newcomer.sockets:
            each.close()  # of one that came after the others of its router: not adopted any more

    def _hand_to_me(self, link: ControlLink) -> None:
        link.hand_to(partial(self._received, link), partial(self._lost, link))

    def _lost(self, link: ControlLink) -> None:
        child = self._by_link.pop(link, None)
        if link.fault:
            log.error("control.fault", process=child.id if child else "", reason=link.fault)
        if child is not None:
            child.link = None
            if child.ended:
                self.ledger.gone(child.id)

    def _received(self, link: ControlLink, message: Message) -> None:
        child = self._by_link.get(link)
        if child is None:
            self._greet(link, message)
            return
        child.heard_s = asyncio.get_running_loop().time()
        if isinstance(message, Beat):
            self.ledger.beat(child.id, message.counters)
        elif isinstance(message, PeerFacts):
            self._learned(child, message)
        elif child.ended:
            return  # the last words of the dead: what they counted and learned still matters
        elif isinstance(message, Ready):
            self._ready(child)
        elif isinstance(message, Answer):
            self.questions.answered(child.id, message)
        elif isinstance(message, Reloaded):
            self.reloads.answered(child.id, message)
        elif isinstance(message, Leaving):
            if not self.is_ending:
                log.info("process.leaving", process=child.id)
                self.tasks.run(self.rolling.replace(child))
        elif isinstance(message, Drained):
            child.drained = max(child.drained, message.phase)
            self._news.tell()

    def _greet(self, link: ControlLink, message: Message) -> None:
        child = self.processes.find(message.id, message.pid) if isinstance(message, Hello) else None
        if child is None or child.link is not None or not isinstance(message, Hello):
            log.warning("control.stranger", message=type(message).__name__)
            link.close()
            return
        self._greeted(link, child, message)

    def _greeted(self, link: ControlLink, child: Child, hello: Hello) -> None:
        child.link, child.speaks = link, hello.speaks
        if child.speaks < SPOKEN:
            link.speaks = OLDEST
            log.warning("process.earlier_version", process=child.id, speaks=child.speaks)
        child.heard_s = asyncio.get_running_loop().time()
        self._by_link[link] = child
        if hello.config and hello.config != self.digest:
            self.reloads.tell(child)  # it read the snapshot before it was changed

    def _ready(self, child: Child) -> None:
        if child.is_ready:
            return
        if self.is_ending and child.role == "acceptor":
            child.kill()  # it came too late to serve anybody
            return
        child.ready_s = asyncio.get_running_loop().time()
        if child.role == "worker":
            self.roster.arrived(child.id)
        self._announce(child)
        if child.role == "acceptor":
            for message in peer_facts([each.to_plain() for each in self._memory.everything()]):
                child.send(message)
        log.info("process.ready", process=child.id)
        self._news.tell()

    def _learned(self, source: Child, message: PeerFacts) -> None:
        """What one acceptor learned, all know, and those that come after it."""
        self._memory.take_all(message.facts)
        for acceptor in self.processes.that_serve("acceptor"):
            if acceptor is not source:
                acceptor.send(message)
