"""The rounds: every way under every limit, each with servers of its own, in an order that rotates.

Messages go one way, from one component to the other. Before each measurement the same work is done
for a while, which tells how many messages fill the time; then nothing, which tells what the servers
use at rest. Called by `command`.
"""

import asyncio
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from bench.cost import running_s
from bench.express.ways import SENDER, TARGET, Limits, Road, Way, road
from bench.peers.daemon import DaemonError
from bench.remote import CHUNK_BYTES, STANZA_BYTES, chat
from bench.throughput.flow import Source, flow

FIRST_BATCH: Final = 50
WARM_UP_SHARE: Final = 0.15
REST_S: Final = 2.0
LIMIT_S: Final = 180.0
WINDOW_BYTES: Final = 1 << 20
"""What may be under way in all: below what a router keeps for a peer that is slow, so that nothing
bounces (`bench.throughput` lets more wait, where a server reads on)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run; each measurement takes about `seconds`."""

    ways: tuple[Way, ...]
    limits: tuple[Limits, ...]
    rounds: int
    seconds: float
    size_bytes: int = STANZA_BYTES


class Step(NamedTuple):
    """One measurement."""

    round: int
    limits: Limits
    way: Way

    def words(self) -> str:
        """For a line of progress."""
        return f"{self.way}, limits: {self.limits}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One way in one round. CPU is in microseconds per message, less what the servers use at rest.

    `rest_core_share` is that use, `generator_core_share` the generator's, of a core.
    """

    way: Way
    limits: Limits
    round: int
    size_bytes: int
    messages: int
    wall_s: float
    cpu_us_by_process: dict[str, float]
    rest_core_share: float
    generator_core_share: float

    @property
    def per_second(self) -> float:
        """Messages that arrived."""
        return self.messages / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Of all the servers' processes."""
        return sum(self.cpu_us_by_process.values())


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A measurement that there is no figure of, and why."""

    way: Way
    limits: Limits
    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a run, in the order it was measured."""

    samples: tuple[Sample, ...]
    left_out: tuple[LeftOut, ...]


class Watcher(Protocol):
    """Who is told how the run goes on; `bench.progress.Steps` is one."""

    def now(self, words: str) -> None: ...
    def done(self) -> None: ...
    def say(self, words: str) -> None: ...


def plan(settings: Settings) -> list[Step]:
    """Every measurement in its order: nobody is always the first of a round."""
    cells = [(limits, way) for limits in settings.limits for way in settings.ways]
    steps = []
    for number in range(settings.rounds):
        first = number % len(cells)
        turns = (*cells[first:], *cells[:first])
        steps += [Step(number + 1, limits, way) for limits, way in turns]
    return steps


async def measure(settings: Settings, watcher: Watcher) -> Found:
    """Take all samples; a measurement that fails is told of, and the others go on."""
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    for step in plan(settings):
        watcher.now(step.words())
        try:
            sample = await _one(step, settings)
        except (OSError, DaemonError) as error:
            left_out.append(LeftOut(step.way, step.limits, step.round, str(error)))
            watcher.say(f"round {step.round}  {step.words()}: left out: {error}")
        else:
            samples.append(sample)
            watcher.say(_line(sample))
        watcher.done()
    return Found(tuple(samples), tuple(left_out))


async def _one(step: Step, settings: Settings) -> Sample:
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory:
        async with road(step.way, step.limits, Path(directory)) as found:
            return await _measured(found, step, settings)


async def _measured(found: Road, step: Step, settings: Settings) -> Sample:
    stanza = chat(SENDER, TARGET, settings.size_bytes)
    # What comes back is an error: what it answers will not arrive.
    found.sender.tally.answer = lambda count: found.target.tally.end()
    rate = await _warm_up(found, stanza, settings)
    messages = max(1, round(rate * settings.seconds))
    pids = found.processes()

    before, rested = _cpu(pids), time.monotonic()
    await asyncio.sleep(REST_S)
    rested = time.monotonic() - rested
    rest = {name: (used - before[name]) / rested for name, used in _cpu(pids).items()}

    carried = await found.carried() if found.routers else 0
    before, own, began = _cpu(pids), time.process_time(), time.monotonic()
    await _run(found, stanza, messages)
    wall_s, own_s = time.monotonic() - began, time.process_time() - own
    used = {name: used - before[name] - rest[name] * wall_s for name, used in _cpu(pids).items()}
    if found.routers and (inside := await found.carried() - carried) != messages:
        raise ConnectionError(f"{inside} of {messages} messages went through the lane")
    return Sample(
        way=step.way,
        limits=step.limits,
        round=step.round,
        size_bytes=settings.size_bytes,
        messages=messages,
        wall_s=wall_s,
        cpu_us_by_process={name: each * 1e6 / messages for name, each in used.items()},
        rest_core_share=sum(rest.values()),
        generator_core_share=own_s / wall_s,
    )


def _cpu(pids: dict[str, int]) -> dict[str, float]:
    return {name: running_s(pid) for name, pid in pids.items()}


async def _warm_up(found: Road, stanza: bytes, settings: Settings) -> float:
    """Ever larger batches until one takes its time; messages per second in that one."""
    await _run(found, stanza, 1)
    batch = FIRST_BATCH
    while True:
        began = time.monotonic()
        await _run(found, stanza, batch)
        took_s = time.monotonic() - began
        if took_s >= settings.seconds * WARM_UP_SHARE:
            return batch / took_s
        batch *= 2


async def _run(found: Road, stanza: bytes, messages: int) -> None:
    """Send, and wait until all has arrived. A run cut short is no measurement."""
    tally = found.target.tally
    tally.expect(messages)
    source = Source(found.sender, stanza)
    try:
        async with asyncio.timeout(LIMIT_S):
            await flow([source], messages, CHUNK_BYTES, tally, WINDOW_BYTES)
            await tally.complete.wait()
    except TimeoutError:
        reason = f"{tally.arrived} of {messages} messages arrived within {LIMIT_S:g} s"
        raise ConnectionError(reason) from None
    if tally.arrived != messages:
        reason = f"an end was cut off, or an error came back, after {tally.arrived} of {messages}"
        raise ConnectionError(f"{reason} messages")


def _line(sample: Sample) -> str:
    return (
        f"round {sample.round}  {sample.way:8} limits: {sample.limits:7}"
        f" {sample.per_second:11,.0f}/s {sample.cpu_us:9.1f} µs/message"
        f"  generator {sample.generator_core_share:.0%}"
    )


def as_results(found: Found) -> dict[str, list[dict[str, object]]]:
    """Plain values for JSON."""
    return {
        "samples": [
            {**asdict(sample), "per_second": sample.per_second, "cpu_us": sample.cpu_us}
            for sample in found.samples
        ],
        "left_out": [asdict(each) for each in found.left_out],
    }
