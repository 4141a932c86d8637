"""Replacing processes that run, one after another, so that nothing they carry is lost.

An acceptor's replacement listens on the same sockets before the old one begins to drain; a worker's
stands by as a spare before the old one's shards move. Called by the supervisor: for an operator who
wants all replaced, and for a process that was asked to end by itself.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from router.log import logger
from router.supervisor.drain import END_LIMITS_S, PHASE_LIMITS_S, PHASES_LIMIT_S, Wait
from router.supervisor.processes import Child, Processes, Role, describe_exit
from router.wire.control import DRAIN_END, Drain

log = logger(__name__)

State = Literal["waiting", "starting", "draining", "done", "failed"]
START_LIMIT_S: Final = 15.0


@dataclass(slots=True)
class Step:
    """One process: its replacement, how far it is, and how the old one ended. Plain values."""

    process: str
    replacement: str = ""
    state: State = "waiting"
    how: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Progress:
    """All of them; `state` is "" before the first."""

    state: Literal["", "running", "done", "failed"] = ""
    steps: list[Step] = field(default_factory=list)


class Rolling:
    """`start(role, slot)` starts a process beside the one there; `retire(child)` takes the old
    one's shards from it, or keeps new streams away from it, and tells everybody.
    """

    def __init__(
        self,
        processes: Processes,
        start: Callable[[Role, int], Child],
        retire: Callable[[Child], None],
        until: Wait,
    ) -> None:
        self._processes = processes
        self._start = start
        self._retire = retire
        self._until = until
        self._replacing: set[str] = set()
        self.progress = Progress()

    def begin(self, spares: Collection[str]) -> Coroutine[Any, Any, None]:
        """Replace every process there is: acceptors, spare workers, then those that own shards.

        Spares go first of the workers: shards then move once, to one that is new already. It stops
        at the first that cannot be replaced. `progress` says at once that it runs.
        """
        workers = self._processes.of("worker")
        workers.sort(key=lambda child: child.id not in spares)
        children = [*self._processes.of("acceptor"), *workers]
        self.progress = Progress("running", [Step(child.id) for child in children])
        log.info("restart.began", processes=len(children))
        return self._all(children)

    async def _all(self, children: Sequence[Child]) -> None:
        for child, step in zip(children, self.progress.steps, strict=True):
            await self.replace(child, step)
            if step.state == "failed":
                self.progress.state = "failed"
                log.error("restart.failed", process=child.id, reason=step.how)
                return
        self.progress.state = "done"
        log.info("restart.ended")

    async def replace(self, child: Child, step: Step | None = None) -> None:
        """Replace one process; `step` tells what came of it."""
        step = step or Step(child.id)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if child.id in self._replacing or child.dismissed or child.ended:
            await self._until(lambda: child.ended, START_LIMIT_S + PHASES_LIMIT_S)
            step.state, step.how = "done", describe_exit(child.returncode)
            return
        self._replacing.add(child.id)
        try:
            await self._replace(child, step)
        finally:
            self._replacing.discard(child.id)
            step.seconds = round(loop.time() - began_s, 3)

    async def _replace(self, child: Child, step: Step) -> None:
        step.state = "starting"
        try:
            successor = self._start(child.role, child.slot)
        except OSError as error:
            step.state, step.how = "failed", f"no replacement: {error}"
            return
        step.replacement = successor.id
        await self._until(lambda: successor.is_ready or successor.ended, START_LIMIT_S)
        if not successor.is_ready or successor.ended:
            successor.dismissed = True
            successor.kill()
            step.state, step.how = "failed", "the replacement did not become ready"
            return
        step.state = "draining"
        await self.end(child)
        step.state, step.how = "done", describe_exit(child.returncode)

    async def end(self, child: Child) -> None:
        """Have a process whose place is taken end in order; SIGKILL if it does not."""
        self._retire(child)
        if child.role == "acceptor":
            await self._phases(child)
        child.dismissed = True
        child.send(Drain(DRAIN_END))
        await self._until(lambda: child.ended, END_LIMITS_S[child.role])
        child.kill()
        await self._until(lambda: child.ended, END_LIMITS_S[child.role])

    async def _phases(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + PHASES_LIMIT_S
        for phase, limit_s in PHASE_LIMITS_S.items():
            child.send(Drain(phase))
            await self._until(
                lambda: child.ended or child.drained >= phase,  # noqa: B023 - awaited here
                min(limit_s, end_s - loop.time()),
            )
