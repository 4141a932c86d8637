"""What an experiment is, and the course of an ordinary one: load, trouble, rest, account.

The modules of experiments make `Experiment`s; `catalogue` lists them, `command` runs them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

from bench.faults.stage import Scene, Stage, Weights, staged
from bench.faults.verdict import Account, Judge, Outcome
from bench.faults.watch import until
from bench.peers.causeway import Causeway
from bench.soak.measure import Books

R_PER_S: Final = 5000.0
FIRST_PER_S: Final = 200.0
FIRST_S: Final = 1.0
CALM_S: Final = 2.0
REST_S: Final = 10.0
FDS_POLL_S: Final = 0.2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How large a run is."""

    per_s: float = R_PER_S
    """R: stanzas a second in all."""
    seconds: float | None = None
    """How long the trouble lasts, in place of what each experiment has for it."""
    seeds: int = 100
    """Of experiment 35, for each step."""
    noise_ms: float = 5.0
    """By how much the machine itself may raise a p99 that is compared with another."""

    def lasting(self, usual_s: float) -> float:
        """The time that is wanted, or the usual one."""
        return usual_s if self.seconds is None else self.seconds


Run = Callable[[Settings, int, Say], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of the plan. `run(settings, round, say)` raises nothing that is a finding.

    `needs` says what the machine or the program lacks for it, or nothing.
    """

    number: int
    title: str
    fault: str
    passes: str
    """The bound, in words."""
    run: Run | None = None
    needs: Callable[[], str] = lambda: ""

    def cannot(self) -> str:
        """Why it is not run; empty when it is."""
        reason = self.needs()
        return reason or ("" if self.run else "not built")


Trouble = Callable[[Stage, float, Say], Awaitable[None]]
"""Make it, for so many seconds, on a stage under load."""
Judging = Callable[[Judge, Stage], None]


async def course(
    number: int,
    title: str,
    round_number: int,
    scene: Scene,
    trouble: Trouble,
    judging: Judging,
    *,
    per_s: float,
    seconds: float,
    say: Say,
    weight: Weights = lambda flow: 1.0,
    expected_errors: Collection[str] = (),
    prepare: Callable[[Stage], Awaitable[None]] | None = None,
    patience_s: float = 5.0,
    node_kind: type[Causeway] = Causeway,
    before_start: Callable[[Causeway], None] = lambda node: None,
) -> Outcome:
    """Load at `per_s`, after a calm beginning the trouble for `seconds`, then rest and judge."""
    began_s = time.monotonic()
    async with staged(scene, node_kind, before_start) as stage:
        if prepare is not None:
            await prepare(stage)
        say(f"{number} {title}: {per_s:,.0f} stanzas/s")
        await stage.run(min(per_s, FIRST_PER_S), FIRST_S, weight)  # every pair has its stream now
        await stage.settle()
        stage.watch.fds_before = stage.watch.fds()
        stage.worst_lag_s = 0.0
        stage.notes["began_s"], stage.notes["seconds"] = time.monotonic(), seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.run(per_s, CALM_S + seconds, weight))
            await asyncio.sleep(CALM_S)
            stage.notes["trouble_s"] = time.monotonic()
            await trouble(stage, seconds, say)
        await stage.settle(patience_s)
        account = await accounted(stage, expected_errors)
        judge = Judge(stage.recorder.findings(), account)
        judging(judge, stage)
        return Outcome(
            number,
            title,
            round_number,
            round(time.monotonic() - began_s, 1),
            judge.findings,
            account,
            tuple(judge.checks),
        )


async def accounted(stage: Stage, expected_errors: Collection[str]) -> Account:
    """The node at rest."""
    books = await stage.watch.books()
    fds = await _fds_at_rest(stage)
    return Account(
        peak_mib=round(stage.watch.peak_mib, 1),
        budget_mib=await stage.watch.budget_mib(),
        fds_before=stage.watch.fds_before,
        fds_after=fds,
        complaints=tuple(stage.watch.complaints(expected_errors)),
        books=faults_of(books),
        generator_share=round(stage.own_share, 3),
        generator_lag_ms=round(stage.worst_lag_s * 1000, 1),
        not_written=stage.not_written,
    )


def faults_of(books: Books | None) -> str:
    """What is wrong with the node's counters, in words."""
    if books is None:
        return "the node does not answer"
    if books.in_flight:
        return f"{books.in_flight} in flight at rest"
    if not books.balance:
        return f"{books.taken_in} in, {sum(books.outcomes.values())} out"
    return ""


async def _fds_at_rest(stage: Stage) -> int:
    """Back to what it was, or what it is after a while."""
    watch = stage.watch
    await until(lambda: watch.fds() == watch.fds_before, REST_S, FDS_POLL_S)
    return watch.fds()
