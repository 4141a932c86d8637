"""The supervisor's loop: what each message, death, silence and signal leads to.

Owns readiness and counters of the node; carries no client traffic. Signals and HTTP are brought to
it by `router.cli.node`.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from router.budget import budget_bytes
from router.config import Config
from router.log import configure, logger
from router.metrics import Counters
from router.peer_memory import PeerMemory
from router.supervisor import notify
from router.supervisor.adoption import Orphan
from router.supervisor.build import build_labels
from router.supervisor.crew import COMMANDS, Crew
from router.supervisor.door import Door
from router.supervisor.drain import drain
from router.supervisor.explanation import Explanation, Rules, explanation
from router.supervisor.lease import Lease
from router.supervisor.listeners import Listener, close_listeners
from router.supervisor.news import News
from router.supervisor.processes import Role
from router.supervisor.reload import ANSWER_LIMIT_S, change, log_what_waits, possible
from router.supervisor.run_dir import RunDir
from router.supervisor.views import ProcessView, process_views

log = logger(__name__)

SUCCEEDED: Final = -1
"""What `run` returns when another supervisor is to take over."""


class Supervisor:
    """One per node. `run` once; the other public methods may be called at any time during it.

    `orphans` are processes of an earlier supervisor, `lease` the numbers it left; `read` gives the
    configuration as it is in the file now, or what is wrong with it, and may take its time.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        listeners: Sequence[Listener],
        commands: Mapping[Role, Sequence[str]] = COMMANDS,
        *,
        orphans: Collection[Orphan] = (),
        lease: Lease | None = None,
        read: Callable[[], Config | Sequence[str]] = lambda: ("no file to read",),
    ) -> None:
        self._config = config
        self._run_dir = run_dir
        self._listeners = listeners
        self._orphans = orphans
        self._read = read
        self._addresses: dict[str, list[str]] = {}
        for listener in listeners:
            self._addresses.setdefault(listener.kind, []).append(str(listener.address))
        self._news = News()
        self._counters = Counters()
        self._counters.set("causeway_build_info", *build_labels(), value=1)
        self._counters.set("causeway_memory_budget_bytes", value=budget_bytes(config))
        self._memory = PeerMemory(config, time.time, lambda _: None)
        self._crew = Crew(
            config, run_dir, listeners, commands, lease, self._memory, self._counters, self._news
        )
        self._processes = self._crew.processes
        self._began_at = time.time()
        self._reloading = asyncio.Lock()
        self._complete = False
        self._succeeded = False

    # --- what the node shows ---

    def not_ready(self) -> tuple[str, ...]:
        """Why traffic should not come here; empty when it should."""
        if self._crew.is_ending:
            return ("draining",)
        up = {(child.role, child.slot) for child in self._processes if child.is_ready}
        reasons = [
            f"{role} {slot} is not up"
            for role, slots in self._crew.slots.items()
            for slot in slots
            if (role == "acceptor" or not self._complete) and (role, slot) not in up
        ]
        if self._complete and not any(self._crew.roster.seating.seats):
            reasons.append("no worker is up")
        return tuple(reasons)

    def listeners(self) -> dict[str, list[str]]:
        """The addresses actually bound, by kind of listener."""
        return self._addresses

    def processes(self) -> list[ProcessView]:
        """The living, by role and slot."""
        now_s = asyncio.get_running_loop().time()
        return process_views(self._processes, self._crew.roster.seating, now_s)

    def restarting(self) -> dict[str, Any]:
        """How far the last restart is, and since when (seconds since the epoch) we supervise."""
        return {**asdict(self._crew.rolling.progress), "supervising_since": self._began_at}

    async def streams(self) -> list[dict[str, object]]:
        """One row for each open stream, from all acceptors that answer."""
        return await self._crew.questions.ask("streams", self._processes.that_serve("acceptor"))

    async def pairs(self) -> list[dict[str, object]]:
        """One row for each pair that has a stream, a dial or a backlog, from all workers."""
        return await self._crew.questions.ask("pairs", self._processes.that_serve("worker"))

    async def explain(self, local: str, remote: str) -> Explanation:
        """What is known of the way between two domains, both normalised.

        Where the server of the local one stands behind us, with its own leg: there we are the
        remote one.
        """
        found = await self._explain_leg(local, remote)
        if local not in self._config.servers:
            return found
        return replace(found, inside=await self._explain_leg(remote, local))

    async def _explain_leg(self, local: str, remote: str) -> Explanation:
        everybody = [*self._processes.that_serve("acceptor"), *self._processes.that_serve("worker")]
        rows = await self._crew.questions.ask("explain", everybody, local, remote)
        peer = self._memory.rows(remote, local)
        hosts, servers, refuses = self._config.hosts, self._config.servers, self._config.refuses
        is_inside = remote in servers
        rules = Rules(
            is_inside or local in hosts, not is_inside and remote in hosts, refuses(remote)
        )
        return explanation(local, remote, rules, rows, peer, time.time())

    async def close(self, local: str, remote: str) -> list[dict[str, object]]:
        """Close in order all streams that carry the pair; a row for each."""
        log.info("pair.close_asked", local=local, remote=remote)
        acceptors = self._processes.that_serve("acceptor")
        return await self._crew.questions.ask("close", acceptors, local, remote)

    async def sessions(self) -> list[dict[str, object]]:
        """One row for each session of an end-to-end stream."""
        return await self._crew.questions.ask("e2e", self._processes.that_serve("acceptor"))

    async def open_session(self, peer: str) -> list[dict[str, object]]:
        """Begin a session with this address; a row for it, none where nobody has sessions."""
        acceptors = self._processes.that_serve("acceptor")
        return await self._crew.questions.ask("e2e open", acceptors, peer)

    def totals(self) -> dict[str, dict[tuple[str, ...], float]]:
        """As `Ledger.totals`, our own counters included."""
        self._crew.ledger.beat("supervisor", self._counters.snapshot())
        return self._crew.ledger.totals()

    # --- what the operator wants ---

    def stop(self) -> None:
        """Drain and end. Asked a second time: hurry."""
        if self._crew.is_ending and self._news.hasten():
            log.warning("drain.hastened")
        self._crew.is_ending = True
        self._news.tell()

    def restart(self) -> bool:
        """Replace every process, one after another; False while that is under way, or at the end.

        `restarting` tells how far it is.
        """
        is_busy = self._crew.is_ending or self._crew.rolling.progress.state == "running"
        if not is_busy:
            self._crew.tasks.run(self._crew.rolling.begin(self._crew.roster.seating.spares))
        return not is_busy

    def succeed(self) -> bool:
        """Let another supervisor take over: `run` returns, and every process lives on.

        False when that cannot be now, or the configuration is not fit for a start.
        """
        if self._crew.is_ending or self._crew.rolling.progress.state == "running":
            return False
        if not isinstance(self._read(), Config):
            return False
        self._succeeded = True
        self._news.tell()
        return True

    def reload(self) -> None:
        """Go by the configuration and the certificates as they are in their files now."""
        if not self._crew.is_ending:
            self._crew.tasks.run(self._reload())

    async def _reload(self) -> None:
        async with self._reloading:
            notify.notify(*notify.reloading())
            found = await asyncio.to_thread(self._read)
            if isinstance(found, Config):
                await self._go_by(found)
            else:
                for problem in found:
                    log.error("config.problem", problem=problem)
                log.error("reload.refused", problems=len(found))
            result = "ok" if isinstance(found, Config) else "refused"
            self._counters.add("causeway_config_reloads_total", result)
            notify.notify(notify.READY)

    async def _go_by(self, wanted: Config) -> None:
        began_s = asyncio.get_running_loop().time()
        what = change(self._config, wanted)
        config = possible(self._config, wanted)
        self._run_dir.publish(config)
        configure("supervisor", config.log.level, (*self._config.secrets(), *config.secrets()))
        self._config = self._memory.config = config
        self._counters.set("causeway_memory_budget_bytes", value=budget_bytes(config))
        self._crew.digest = config.digest()
        log.info("reload.began", changed=what.at_once, keys=len(what.at_once))
        log_what_waits(what)
        told = [child for child in self._processes if child.link is not None]
        number = self._crew.reloads.ask(told)
        await self._news.until(lambda: self._crew.reloads.is_over(number), ANSWER_LIMIT_S)
        silent, problems = self._crew.reloads.result(number)
        for problem in problems:
            log.error("reload.problem", problem=problem)
        took_s = round(asyncio.get_running_loop().time() - began_s, 3)
        log.info("reload.ended", processes=len(told), silent=silent, seconds=took_s)

    # --- life ---

    async def run(self) -> int:
        """Start everything, keep it alive until `stop`, drain. The exit code: 0, or 1 when
        processes cannot be kept alive; SUCCEEDED when they live on, for another supervisor.

        Raises OSError when the first cannot be started.
        """
        loop = asyncio.get_running_loop()
        crew = self._crew
        door = Door(self._run_dir.control_socket, crew.came)
        crew.tasks.run(crew.watch())
        try:
            crew.fill(self._orphans)
            await self._news.until(lambda: self._is_over() or not self.not_ready())
            if not self._is_over():
                self._complete = True
                log.info("router.ready", listeners=self._addresses)
                notify.notify(notify.READY)
            await self._news.until(self._is_over)
            if self._succeeded:
                log.info("supervisor.succeeded")
                return SUCCEEDED
            notify.notify(notify.STOPPING)
            log.info("drain.began")
            close_listeners(self._listeners)
            crew.tasks.cancel()
            await drain(self._processes, self._news.until, loop.time)
            log.info("drain.ended")
        finally:
            crew.tasks.cancel()
            crew.is_ending = True
            if not self._succeeded:
                self._processes.kill_all()
            door.close()
        return 1 if crew.has_failed else 0

    def _is_over(self) -> bool:
        return self._crew.is_ending or self._succeeded
