"""Experiments on errors in masses: peers that answer errors with errors; a domain that dies."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final

from bench.faults.ends import HearingRemote
from bench.faults.experiment import Say, Settings, course
from bench.faults.stage import Scene, Stage
from bench.faults.traffic import flow
from bench.faults.verdict import Judge, Outcome
from bench.faults.watch import until
from bench.peers.causeway import Toml
from bench.remote import MARK
from router.xmpp.pair import DomainPair

LOOP_PER_S: Final = 1000.0
DECAY_S: Final = 1.0
QUEUED: Final = 100_000
BOUNCES_PER_S: Final = 500
BOUNCES_AT_ONCE: Final = 4 * BOUNCES_PER_S
UNREACHABLE: Final = "verona0.lit"
TAKING_S: Final = 60.0
REFUSING: Final[dict[str, Toml]] = {"limits": {"component_grace_s": 0}}
_FROM_TO: Final = re.compile(rb" (from|to)=(['\"])([^'\"]*)\2")


class _Argumentative:
    """Answers each stanza that comes to an end, errors included, with an error."""

    def __init__(self, end: HearingRemote) -> None:
        self._end = end
        self._count: Callable[[bytes], None] = end.count
        self._rest = b""
        self.last_s = 0.0
        self.answered = 0

    def count(self, octets: bytes) -> None:
        """In place of the end's own."""
        self._count(octets)
        *whole, self._rest = (self._rest + octets).split(MARK)
        for stanza in whole:
            self.last_s = time.monotonic()
            self.answered += 1
            self._end.write(_error(stanza + MARK))


def _error(stanza: bytes) -> bytes:
    names = {found[1]: found[3] for found in _FROM_TO.finditer(stanza)}
    return (
        b"<message from='%b' to='%b' type='error' id='again'><error type='cancel'>"
        b"<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    ) % (names.get(b"to", b""), names.get(b"from", b""))


async def loop(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 24: the node bounces what is for a domain that is not there; peers bounce back.

    Two peers that bounce each other's errors keep at it without the node's help and in spite of it:
    a router passes stanzas of type error on. What it must not do is answer one.
    """
    arguing: list[_Argumentative] = []

    async def argue(stage: Stage) -> None:
        for pair, road in stage.remotes.items():
            if pair.target.startswith("verona") and isinstance(road.end, HearingRemote):
                arguing.append(_Argumentative(road.end))
                road.end.count = arguing[-1].count  # type: ignore[method-assign]

    async def wait(stage: Stage, seconds: float, say: Say) -> None:
        await asyncio.sleep(seconds)
        stage.notes["ended_s"] = time.monotonic()

    def judging(judge: Judge, stage: Stage) -> None:
        judge.whole()
        last_s = max((each.last_s for each in arguing), default=0.0)
        judge.at_least("errors answered by peers", sum(each.answered for each in arguing), 1)
        judge.at_most("goes on after the end", last_s - stage.notes["ended_s"], DECAY_S, "s")
        judge.household(books=True)

    return await course(
        24,
        "error loop",
        number,
        Scene(remotes=2, hosted=1, bidi=2, unserved=1, settings=REFUSING),
        wait,
        judging,
        per_s=LOOP_PER_S,
        seconds=settings.lasting(10),
        say=say,
        prepare=argue,
    )


async def dead_destination(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 25: 100,000 stanzas of a remote domain for a hosted one that is not there."""
    doomed = flow(DomainPair("capulet0.lit", UNREACHABLE), 777)

    async def storm(stage: Stage, seconds: float, say: Say) -> None:
        which = len(stage.recorder.flows) - 1
        road = stage.road(doomed)
        each_tick = QUEUED // 200
        for _ in range(QUEUED // each_tick):
            for _ in range(each_tick):
                road.send(stage.recorder.plan(which, time.monotonic()))
            await asyncio.sleep(0.01)
        say(f"{QUEUED:,} stanzas for {UNREACHABLE}")
        await until(lambda: not road.waiting, TAKING_S)
        await asyncio.sleep(seconds)
        books = await stage.watch.books()
        stage.notes["unbounceable"] = books.unbounceable if books is not None else -1

    def judging(judge: Judge, stage: Stage) -> None:
        others = stage.recorder.findings(lambda _, flow: flow.pair.target != UNREACHABLE)
        judge.findings = others
        judge.clean()
        judge.at_most("p99 of the others", others.p99_ms, 500, "ms")
        at_it = stage.recorder.findings(lambda _, flow: flow is doomed)
        most = stage.recorder.most_bounces_per_s()
        judge.at_most("most bounces in a second", most, BOUNCES_AT_ONCE + BOUNCES_PER_S)
        took_s = stage.recorder.last_bounce_s - stage.notes["trouble_s"]
        share = BOUNCES_AT_ONCE + BOUNCES_PER_S * (took_s + 1)
        judge.at_most("bounces in all", at_it.bounced, share)
        judge.at_least("bounces in all", at_it.bounced, BOUNCES_AT_ONCE)
        judge.at_most("delivered and bounced", at_it.both + at_it.delivered + at_it.duplicated, 0)
        unanswered = stage.notes["unbounceable"]
        judge.that(
            "without an answer, of the storm",
            at_it.lost == unanswered,
            f"{at_it.lost:,}",
            f"{unanswered:,.0f} as the node counts",
        )
        judge.household()

    return await course(
        25,
        "bounce storm",
        number,
        Scene(unserved=1, settings=REFUSING, extra_flows=(doomed,)),
        storm,
        judging,
        per_s=settings.per_s / 2,
        seconds=settings.lasting(20),
        say=say,
        weight=lambda flow: 0.0 if flow.pair.target == UNREACHABLE else 1.0,
    )
