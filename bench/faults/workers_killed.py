"""Experiments on workers: killed one by one and all together, frozen, and poisoned."""

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from typing import Final

from bench.faults.experiment import Judging, Say, Settings, course
from bench.faults.stage import Scene, Stage
from bench.faults.verdict import Judge, Outcome

KILL_EVERY_S: Final = 2.0
ALL_EVERY_S: Final = 4.0
FROZEN_S: Final = 5.0
PROCESSES: Final = 5
"""Two acceptors, two workers, a spare."""


def _send(stage: Stage, process: str, number: signal.Signals) -> None:
    pid = stage.node.children().get(process)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def _kill_one_by_one(stage: Stage, seconds: float, say: Say) -> None:
    source, until_s, kills = random.Random(1), time.monotonic() + seconds, 0
    while time.monotonic() < until_s:
        victim = source.choice(await stage.watch.owners() or ["none"])
        _send(stage, victim, signal.SIGKILL)
        kills += 1
        say(f"killed {victim}")
        await asyncio.sleep(KILL_EVERY_S)
    stage.notes["kills"] = kills


async def _kill_all(stage: Stage, seconds: float, say: Say) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        for process in stage.node.children():
            if process[0] == "w":
                _send(stage, process, signal.SIGKILL)
        say("killed all workers")
        await asyncio.sleep(ALL_EVERY_S)


async def _freeze(stage: Stage, seconds: float, say: Say) -> None:
    source, until_s = random.Random(2), time.monotonic() + seconds
    while time.monotonic() < until_s:
        victim = source.choice(await stage.watch.owners() or ["none"])
        _send(stage, victim, signal.SIGSTOP)
        say(f"froze {victim}")
        await asyncio.sleep(FROZEN_S)
        _send(stage, victim, signal.SIGCONT)
        await asyncio.sleep(1.0)


def _worst(limit_ms: float, p99_ms: float | None = None) -> Judging:
    def judging(judge: Judge, stage: Stage) -> None:
        judge.clean()
        if p99_ms is not None:
            judge.at_most("p99", judge.findings.p99_ms, p99_ms, "ms")
        judge.at_most("worst stall", judge.findings.worst_ms, limit_ms, "ms")
        judge.household()

    return judging


async def kill_one_by_one(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 1."""
    return await course(
        1,
        "worker killed every 2 s",
        number,
        Scene(),
        _kill_one_by_one,
        _worst(limit_ms=300 + 200, p99_ms=500),
        per_s=settings.per_s,
        seconds=settings.lasting(60),
        say=say,
    )


async def kill_all(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 2."""
    return await course(
        2,
        "all workers killed at once",
        number,
        Scene(),
        _kill_all,
        _worst(limit_ms=1000),
        per_s=settings.per_s,
        seconds=settings.lasting(5 * ALL_EVERY_S),
        say=say,
    )


async def freeze(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 3."""
    return await course(
        3,
        "worker frozen 5 s",
        number,
        Scene(),
        _freeze,
        _worst(limit_ms=1500),
        per_s=settings.per_s,
        seconds=settings.lasting(10 * (FROZEN_S + 1)),
        say=say,
        expected_errors=("process.silent",),
    )
