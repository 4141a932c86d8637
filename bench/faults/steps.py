"""Experiments with the workers' test hook: death exactly at each step of the protocol; poison.

A step has a node of its own; each seed is one death: which worker, at which of its next passes
through the step, and whether the bus may carry what was sent before.
"""

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from bench.faults.ends import HearingDialled
from bench.faults.experiment import Say, Settings, accounted, course
from bench.faults.recorder import Findings
from bench.faults.stage import Scene, Stage, staged
from bench.faults.traffic import flow
from bench.faults.verdict import Judge, Outcome, unexpected
from bench.faults.watch import until
from bench.peers.causeway import Toml
from router.xmpp.pair import DomainPair
from workers.failpoints import ANY, ARM, POISON, POISONED, STEPS, VARIABLE, Armed

PER_S: Final = 200.0
JID_PAIRS: Final = 40
PROCESSES: Final = 5
HEALTHY_S: Final = 1.05
"""A process that dies sooner counts as one that cannot run, and few of these end the node."""
REACHED_S: Final = 8.0
TRIGGER_AGAIN_S: Final = 1.5
MAX_PAUSE_S: Final = 0.2
PATIENCE_S: Final = 6.0
SHOWN: Final = 5
CHURN_S: Final = 0.05
ANSWERED_S: Final = 3.0
UNSERVED: Final = "remote-server-timeout: not attached"
CLOSED_WITHIN_S: Final = 2.0
BEHIND: Final = 6
POISON_MARK: Final = "a cup of this is poison"

Trigger = Callable[[Stage, str], Awaitable[None]]


async def _nothing(stage: Stage, victim: str) -> None:
    """Ordinary traffic brings the worker to the step."""


async def _kill_another(stage: Stage, victim: str) -> None:
    """Its shards move, and everybody hears of it."""
    others = [each for each in await stage.watch.owners() if each != victim]
    if others and (pid := stage.node.children().get(others[0])):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def _close_dialled(stage: Stage, victim: str) -> None:
    """What the node opened, its peer closes: the next stanza needs another dial.

    In order: what the node has sent by then is read, or its kernel's word would be worth nothing.
    """
    await asyncio.gather(*(stream.leave(CLOSED_WITHIN_S) for stream in _dialled(stage)))


def _dialled(stage: Stage) -> list[HearingDialled]:
    """The streams that the node has opened and that have carried something."""
    return stage.home.to({flow.pair.target for flow in stage.recorder.flows})


async def _reattach(stage: Stage, victim: str) -> None:
    """What comes for a component while it is away leaves together when it is back."""
    await next(iter(stage.components.values())).leave()


_ORDINARY: Final = Scene(jid_pairs=JID_PAIRS)


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    trigger: Trigger = _nothing
    passes: int = 10
    """The worker dies at one of its next so many."""
    is_any: bool = False
    scene: Scene = _ORDINARY


_REFUSING: Final[Mapping[str, Toml]] = {"limits": {"component_grace_s": 0}}
_HOW: Final = {
    "membership": _Step("membership", _kill_another, 1),
    "joined": _Step("joined", _kill_another, 1),
    "announced": _Step("announced", _kill_another, 2),
    "half": _Step("half", _reattach, 1, is_any=True),
    "dial": _Step("dial", _close_dialled, 1, is_any=True),
    "reject": _Step(
        "reject",
        passes=5,
        is_any=True,
        scene=Scene(jid_pairs=JID_PAIRS, unserved=1, settings=_REFUSING),
    ),
}


@dataclass(slots=True)
class _Deaths:
    """What the seeds of one step came to."""

    name: str
    reached: int = 0
    began_s: list[float] = field(default_factory=list)
    """Of each seed, so that what went wrong can be laid to one."""
    ended_s: float = 0.0

    def seed_of(self, due_s: float) -> int:
        return max(0, sum(each <= due_s for each in self.began_s) - 1)


async def each_step(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 35. Steps that need nothing particular of the node share one."""
    began_s = time.monotonic()
    by_scene: dict[int, list[_Step]] = {}
    for name in STEPS:
        step = _HOW.get(name) or _Step(name)
        by_scene.setdefault(id(step.scene), []).append(step)
    judges = [await _group(steps, settings.seeds, number, say) for steps in by_scene.values()]
    return Outcome(
        35,
        "worker killed at each step",
        number,
        round(time.monotonic() - began_s, 1),
        added([judge.findings for judge in judges]),
        judges[0].account,
        tuple(check for judge in judges for check in judge.checks),
    )


async def _churn(stage: Stage) -> None:
    """Streams end in order all the time: what a lane brings passes a worker only in its beginning,
    and at that of its next epoch.
    """
    source = random.Random(35)
    while True:
        dialled = _dialled(stage)
        if dialled and source.random() < len(dialled) / (len(dialled) + len(stage.remotes)):
            await source.choice(dialled).leave(CLOSED_WITHIN_S)
        else:
            await source.choice(list(stage.remotes.values())).leave(ANSWERED_S)
        await asyncio.sleep(CHURN_S)


async def _group(steps: list[_Step], seeds: int, round_number: int, say: Say) -> Judge:
    """All seeds of these steps, one after another, on one node under load."""
    with tempfile.TemporaryDirectory(prefix="causeway-failpoints-") as directory:
        where = Path(directory)
        async with staged(_hooked(steps[0].scene, where)) as stage:
            sending = asyncio.create_task(stage.run(PER_S, float("inf")))
            churning = asyncio.create_task(_churn(stage))
            await asyncio.sleep(HEALTHY_S)
            stage.watch.fds_before = stage.watch.fds()
            every = []
            for step in steps:
                say(f"35 failpoints: {step.name}, {seeds} seeds")
                every.append(await _seeds(stage, step, where, seeds, round_number))
            churning.cancel()
            stage.stop()
            await asyncio.gather(sending, asyncio.wait([churning]))
            await stage.settle(PATIENCE_S)
            judge = Judge(stage.recorder.findings(), await accounted(stage, ()))
            for deaths in every:
                _judge(judge, stage, seeds, deaths)
            judge.none("strange")
            judge.household()
            return judge


async def _seeds(stage: Stage, step: _Step, where: Path, seeds: int, round_number: int) -> _Deaths:
    deaths = _Deaths(step.name)
    for seed in range(seeds):
        source = random.Random(f"{step.name} {round_number} {seed}")
        deaths.began_s.append(time.monotonic())
        deaths.reached += await _die(stage, step, where, source)
    deaths.ended_s = time.monotonic()
    return deaths


def _hooked(scene: Scene, where: Path) -> Scene:
    given = {each.name: getattr(scene, each.name) for each in fields(scene)}
    return Scene(**{**given, "environment": {VARIABLE: str(where)}})


async def _die(stage: Stage, step: _Step, where: Path, source: random.Random) -> bool:
    """One seed: whether the step was reached. Returns when the node has all its processes."""
    victim = source.choice(await stage.watch.owners() or [ANY])
    armed = Armed(
        step.name,
        ANY if step.is_any else victim,
        source.randint(1, step.passes),
        source.choice((0.0, 0.002)),
    )
    file = where / ARM
    draft = where / "draft"
    draft.write_text(armed.written())
    draft.rename(file)
    until_s, has_died = time.monotonic() + REACHED_S, False
    while not has_died and time.monotonic() < until_s:
        await step.trigger(stage, victim)
        has_died = await until(lambda: not file.exists(), TRIGGER_AGAIN_S, 0.005)
    file.unlink(missing_ok=True)
    await asyncio.sleep(0.02)
    await stage.watch.all_up(PROCESSES)
    await asyncio.sleep(HEALTHY_S + source.uniform(0.0, MAX_PAUSE_S))
    return has_died


def _judge(judge: Judge, stage: Stage, seeds: int, deaths: _Deaths) -> None:
    recorder, step = stage.recorder, deaths.name
    within = recorder.due_between(deaths.began_s[0], deaths.ended_s)
    found = recorder.findings(within)
    wrong = [number for number in recorder.wrong() if within(number, recorder.flow_of(number))]
    blamed = sorted({deaths.seed_of(recorder.due_s[number]) for number in wrong})
    words = (
        f"lost {found.lost}, duplicated {found.duplicated}, reordered {found.reordered}, both"
        f" {found.both}"
    )
    if blamed:
        words += f" (seeds {', '.join(map(str, blamed[:SHOWN]))})"
    judge.that(f"{step}: stanzas", not wrong, words, "all 0")
    judge.at_most(f"{step}: unexpected bounces", unexpected(found, (UNSERVED,)), 0)
    judge.at_least(f"{step}: deaths there", deaths.reached, seeds)


def added(every: list[Findings]) -> Findings:
    """Counts added up, of times the worst."""
    total: dict[str, float] = {}
    for each in fields(Findings):
        if each.name != "reasons":
            values = [getattr(found, each.name) for found in every]
            total[each.name] = max(values) if each.name.endswith("_ms") else sum(values)
    reasons: dict[str, int] = {}
    for found in every:
        for why, count in found.reasons.items():
            reasons[why] = reasons.get(why, 0) + count
    return Findings(**total, reasons=reasons)  # type: ignore[arg-type]


# --- poison ---


async def poison(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 4: one stanza that no worker survives, with ordinary ones behind it in its run.

    It is the first of its pair: once any stanza has found its way, those behind it pass no worker.
    """
    pair = DomainPair("capulet0.lit", "montague0.lit")
    with tempfile.TemporaryDirectory(prefix="causeway-failpoints-") as directory:
        (Path(directory) / POISON).write_text(POISON_MARK)
        poisonous = flow(pair, 999, POISON_MARK)
        scene = _hooked(Scene(extra_flows=(poisonous,)), Path(directory))

        async def drink(stage: Stage, seconds: float, say: Say) -> None:
            recorder, road = stage.recorder, stage.road(poisonous)
            others = [n for n, each in enumerate(recorder.flows) if each.pair == pair]
            for which in (len(recorder.flows) - 1, *others[:BEHIND]):
                road.send(recorder.plan(which, time.monotonic()))
            say("sent the poison")
            await asyncio.sleep(seconds)

        def judging(judge: Judge, stage: Stage) -> None:
            judge.whole()
            poisoned = stage.recorder.findings(lambda _, flow: flow is poisonous)
            judge.at_least("the poison bounced", poisoned.bounced, 1)
            judge.at_most("others bounced", judge.findings.bounced - poisoned.bounced, 0)
            deaths = stage.node.log().count(f'"how": "exit code {POISONED}"')
            judge.at_least("workers poisoned", deaths, 1)
            judge.at_most("workers poisoned", deaths, 2)
            judge.household()

        return await course(
            4,
            "poison stanza",
            number,
            scene,
            drink,
            judging,
            per_s=settings.per_s,
            seconds=settings.lasting(10),
            say=say,
            weight=lambda flow: 0.0 if flow.pair == pair else 1.0,
        )
