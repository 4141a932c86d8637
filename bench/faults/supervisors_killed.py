"""Experiments on the supervisor: killed alone, and together with a worker; started again later."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final

from bench.faults.experiment import Judging, Say, Settings, course
from bench.faults.stage import Scene, Stage
from bench.faults.verdict import Judge, Outcome
from bench.peers.daemon import DaemonError

AWAY_S: Final = 10.0
STALL_MS: Final = 50.0
NO_BOUNCE_S: Final = 30.0
PROCESSES: Final = 5


async def _kill_supervisor(stage: Stage, with_a_worker: bool, say: Say) -> None:
    victim = (await stage.watch.owners())[0] if with_a_worker else ""
    before = set(stage.node.children().values())
    os.kill(stage.node.pid, signal.SIGKILL)
    if victim:
        os.kill(stage.node.children()[victim], signal.SIGKILL)
    await stage.node.ended()
    say("killed the supervisor" + (f" and {victim}" if victim else ""))
    await asyncio.sleep(AWAY_S)
    say("starting it again")
    try:
        await stage.node.start()
    except DaemonError as error:
        stage.notes["not started"] = 1
        say(f"it does not start: {str(error).splitlines()[0]}")
        return
    with suppress(DaemonError):
        await stage.watch.all_up(PROCESSES)
    kept = before & set(stage.node.children().values())
    stage.notes["kept"] = len(kept)


def _judging(stall_ms: float | None, kept: int) -> Judging:
    def judge_it(judge: Judge, stage: Stage) -> None:
        judge.clean()
        judge.that("a new supervisor starts", "not started" not in stage.notes)
        judge.at_least("processes that lived on", stage.notes.get("kept", 0), kept)
        if stall_ms is not None:
            lag_ms = stage.worst_lag_s * 1000
            judge.at_most("worst stall", judge.findings.worst_ms, stall_ms + lag_ms, "ms")
        judge.household()

    return judge_it


async def alone(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 5."""

    async def trouble(stage: Stage, seconds: float, say: Say) -> None:
        await _kill_supervisor(stage, False, say)

    return await course(
        5,
        "supervisor killed",
        number,
        Scene(),
        trouble,
        # What holds the generator up itself is no stall of the node's.
        _judging(STALL_MS, PROCESSES),
        per_s=settings.per_s,
        seconds=AWAY_S + 6,
        say=say,
    )


async def with_a_worker(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 6: the lanes of that worker wait until the next supervisor finds another."""

    async def trouble(stage: Stage, seconds: float, say: Say) -> None:
        await _kill_supervisor(stage, True, say)

    return await course(
        6,
        "supervisor and a worker killed",
        number,
        Scene(),
        trouble,
        _judging(None, PROCESSES - 1),
        per_s=settings.per_s,
        seconds=AWAY_S + 8,
        say=say,
        patience_s=NO_BOUNCE_S,
    )
