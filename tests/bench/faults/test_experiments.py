"""The stage with a real node; and, marked thorough, the experiments that CI runs in short."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from bench.faults import peers_stalled, steps, surroundings, workers_killed
from bench.faults.experiment import Say, Settings
from bench.faults.stage import Scene, staged
from bench.faults.verdict import Outcome
from bench.faults.watch import until
from router.xmpp.pair import DomainPair

Run = Callable[[Settings, int, Say], Awaitable[Outcome]]
PAIRS = [DomainPair(f"capulet{n}.lit", "montague0.lit") for n in range(2)]
PER_S = 1500.0
NOISE_MS = 200.0  # other tests run beside these


def broken(outcome: Outcome) -> list[str]:
    assert outcome.checks, outcome.why
    return [f"{check.name}: {check.found}" for check in outcome.checks if not check.good]


@pytest.mark.processes
async def test_stanzas_go_both_ways_through_a_worker_s_death() -> None:
    scene = Scene(remotes=2, hosted=1, bidi=1, jid_pairs=8, acceptors=1, workers=1)
    async with staged(scene) as stage:
        sending = asyncio.create_task(stage.run(300, float("inf")))
        assert await until(lambda: stage.recorder.answered > 30, 10)
        (owner,) = await stage.watch.owners()
        os.kill(stage.node.children()[owner], signal.SIGKILL)
        before = stage.recorder.answered
        assert await until(lambda: stage.recorder.answered > before + 100, 10)
        stage.stop()
        await sending
        await stage.settle()
        found = stage.recorder.findings()
    assert (found.violations, found.bounced) == (0, 0), found
    assert found.delivered == found.sent > 130
    assert {flow.pair for flow in stage.recorder.flows} == {*PAIRS, *(p.inverse() for p in PAIRS)}


@pytest.mark.thorough
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        (workers_killed.kill_one_by_one, 10),
        (workers_killed.freeze, 6),
        (peers_stalled.stopped, 12),
        (peers_stalled.resets, 9),
        (surroundings.hostile_peers, 8),
        (steps.each_step, None),
    ],
    ids=["1", "3", "13", "16", "22", "35"],
)
async def test_of_the_plan_in_short(run: Run, seconds: float | None) -> None:
    if run is peers_stalled.resets and (reason := peers_stalled.cannot_reset()):
        pytest.skip(reason)
    settings = Settings(PER_S, seconds, seeds=2, noise_ms=NOISE_MS)
    assert broken(await run(settings, 1, lambda words: None)) == []
