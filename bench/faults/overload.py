"""Experiment 26: twice as much as the node can carry; and what R is on this machine."""

import time
from dataclasses import dataclass
from typing import Final

from bench.faults.experiment import R_PER_S, Say, Settings, accounted
from bench.faults.stage import Scene, Stage, staged
from bench.faults.verdict import MAX_GENERATOR_SHARE, Judge, Outcome

SHARE_OF_CAPACITY: Final = 0.6
PROBE_S: Final = 2.0
PROBE_P99_MS: Final = 250.0
LEAST_PER_S: Final = 250.0
SATURATE_S: Final = 6.0
WINDOW: Final = 20_000
"""Stanzas under way when saturation is looked for."""
AFTER_S: Final = 10.0
RECOVER_S: Final = 5.0
RECOVERED_MS: Final = 100.0
GOODPUT: Final = 0.9
_WARM_UP_S: Final = 1.0
_PURE: Final = {"CAUSEWAY_READER": "pure"}


async def chosen_rate(say: Say) -> tuple[float, str]:
    """R, and why: 5,000 a second, or 60 % of what the node carries here if that is less."""
    wanted = R_PER_S / SHARE_OF_CAPACITY
    async with staged(Scene()) as stage:
        await stage.run(LEAST_PER_S, _WARM_UP_S)
        while wanted > LEAST_PER_S:
            say(f"does the node carry {wanted:,.0f} stanzas/s here?")
            from_s = time.monotonic()
            await stage.run(wanted, PROBE_S)
            to_s = time.monotonic()
            await stage.settle()
            recorder = stage.recorder
            found = recorder.findings(recorder.due_between(from_s, to_s))
            if found.p99_ms <= PROBE_P99_MS and found.delivered >= 0.95 * wanted * PROBE_S:
                break
            wanted *= 0.7
    rate = min(R_PER_S, wanted * SHARE_OF_CAPACITY)
    if rate == R_PER_S:
        return rate, f"{rate:,.0f}/s; the node carries {wanted:,.0f}/s at least"
    return rate, f"{rate:,.0f}/s, 60 % of the {wanted:,.0f}/s that the node carries here"


async def twice_capacity(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 26. The node reads in pure Python, so that the generator is faster than it."""
    began_s = time.monotonic()
    async with staged(Scene(environment=_PURE)) as stage:
        await stage.run(LEAST_PER_S, _WARM_UP_S)
        await stage.settle()
        stage.watch.fds_before = stage.watch.fds()
        say("26 overload: saturation")
        await stage.press(WINDOW, SATURATE_S / 2)
        saturation = await stage.press(WINDOW, SATURATE_S)
        share = stage.own_share
        await stage.settle()
        over = await _over(stage, saturation, settings.lasting(120), say)
        judge = Judge(stage.recorder.findings(), await accounted(stage, ()))
        judge.whole()
        judge.none("bounced")
        judge.at_least("goodput, stanzas/s", over.goodput, GOODPUT * saturation)
        judge.that("saturation", True, f"{saturation:,.0f}/s", "for comparison")
        judge.at_most("p99 5 s after", over.p99_after_ms, RECOVERED_MS, "ms")
        judge.household(written=False)
        checks = tuple(judge.checks)
        why = ""
        if max(share, over.generator_share) > MAX_GENERATOR_SHARE and not judge.findings.violations:
            checks, why = (), "the generator was the limit, not the node: no figure"
        took_s = round(time.monotonic() - began_s, 1)
        title = "twice what the node carries"
        return Outcome(26, title, number, took_s, judge.findings, judge.account, checks, why)


@dataclass(frozen=True, slots=True)
class _Over:
    """What the overload came to; `goodput` in stanzas a second."""

    goodput: float
    p99_after_ms: float
    generator_share: float


async def _over(stage: Stage, saturation: float, seconds: float, say: Say) -> _Over:
    say(f"26 overload: {2 * saturation:,.0f} stanzas/s, saturation is {saturation:,.0f}/s")
    before, from_s = stage.recorder.answered, time.monotonic()
    await stage.run(2 * saturation, seconds)
    share = stage.own_share
    goodput = (stage.recorder.answered - before) / (time.monotonic() - from_s)
    stage.notes["given up"] = stage.give_up_waiting()
    ended_s = time.monotonic()
    await stage.run(min(R_PER_S, saturation / 4), AFTER_S)
    await stage.settle()
    recorder = stage.recorder
    after = recorder.findings(recorder.due_between(ended_s + RECOVER_S, ended_s + AFTER_S))
    return _Over(goodput, after.p99_ms, share)
