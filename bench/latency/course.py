"""One measurement between two ends: stanzas by the schedule or one at a time, and what arrived.

A stanza's time counts from when it was due, not from when the generator came to it. How late that
was is reported beside it, and so is the generator's share of a core. Called by `measure`.
"""

import asyncio
import gc
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from bench.latency.alarm import Alarm
from bench.latency.distribution import Distribution
from bench.latency.ends import Inbox, Template, Timed, Watch
from bench.latency.saturation import GENERATOR_LIMIT, MOST_GROWTH, growth, is_saturated

LEAD_S: Final = 0.02
DRAIN_S: Final = 30.0
LONE_PATIENCE_S: Final = 10.0
_US: Final = 1e6


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement. Of a lone stanza the rates are 0: nothing was offered by a schedule."""

    offered_per_s: float
    achieved_per_s: float
    sent: int
    arrived: int
    latency: Distribution
    late: Distribution
    """How long after it was due a stanza was written: the generator's own delay."""
    growth: float
    """Seconds of latency gained per second of the run."""
    late_growth: float
    """The same of how late they were written."""
    generator_core_share: float

    @property
    def is_saturated(self) -> bool:
        """Whether more was offered than was carried."""
        return self.arrived < self.sent or (
            self.offered_per_s > 0
            and is_saturated(self.offered_per_s, self.achieved_per_s, self.growth)
        )

    @property
    def is_generator_limited(self) -> bool:
        """Whether the generator may be what is measured: busy, or ever further behind."""
        return self.generator_core_share >= GENERATOR_LIMIT or self.late_growth > MOST_GROWTH


@dataclass(slots=True)
class Road:
    """From one end to where it is timed; the numbers of its stanzas go on and on."""

    sender: Timed
    template: Template
    inbox: Inbox
    number: int = 0

    def watch(self, due_s: "array[float]") -> Watch:
        """The next measurement's."""
        watch = Watch(self.number, due_s)
        self.number += len(due_s)
        self.inbox.watch = watch
        return watch


async def lone(road: Road, count: int, pause_s: float) -> Measured:
    """One stanza at a time; after each has arrived, a pause. Raises TimeoutError for a lost one."""
    watch = road.watch(array("d", bytes(8 * count)))
    late_s = array("d")
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()
    with _quiet(), Alarm(rung.set) as alarm:
        own_s, began_s = time.process_time(), time.monotonic()
        for place in range(count):
            alarm.set(time.monotonic() + pause_s)
            await rung.wait()
            rung.clear()
            octets = road.template.of((watch.first + place,))
            watch.awaited = loop.create_future()
            watch.due_s[place] = time.monotonic()
            road.sender.send_now(octets)
            late_s.append(time.monotonic() - watch.due_s[place])
            async with asyncio.timeout(LONE_PATIENCE_S):
                await watch.awaited
        share = (time.process_time() - own_s) / (time.monotonic() - began_s)
    return _measured(watch, late_s, 0.0, 0.0, share)


async def at_rate(road: Road, per_s: float, schedule: "array[float]") -> Measured:
    """Stanzas by the schedule, and the wait until all have arrived, of limited length.

    Raises ConnectionError when an end was lost.
    """
    with _quiet():
        begin_s = time.monotonic() + LEAD_S
        watch = road.watch(array("d", (begin_s + due_s for due_s in schedule)))
        own_s = time.process_time()
        late_s = await _send(road, watch)
        share = (time.process_time() - own_s) / (time.monotonic() - begin_s + LEAD_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await watch.complete.wait()
    if road.sender.closed is not None:
        raise ConnectionError(f"the stream was closed meanwhile: {road.sender.closed}")
    took_s = max(watch.last_s - watch.due_s[0], schedule[-1])
    return _measured(watch, late_s, per_s, watch.arrived / took_s, share)


async def _send(road: Road, watch: Watch) -> "array[float]":
    """Write each stanza once it is due; how late each was written."""
    done = asyncio.Event()
    late_s = array("d")
    due_s, total = watch.due_s, len(watch.due_s)

    def ring() -> None:
        now_s = time.monotonic()
        place = first = len(late_s)
        while place < total and due_s[place] <= now_s:
            place += 1
        if place > first:
            try:
                road.sender.send_now(
                    road.template.of(range(watch.first + first, watch.first + place))
                )
            except ConnectionError:
                watch.complete.set()
                done.set()
                return
            written_s = time.monotonic()
            late_s.extend(written_s - due_s[each] for each in range(first, place))
        if place == total:
            done.set()
        else:
            alarm.set(due_s[place])

    with Alarm(ring) as alarm:
        alarm.set(due_s[0])
        await done.wait()
    return late_s


def _measured(
    watch: Watch,
    late_s: Sequence[float],
    offered_per_s: float,
    achieved_per_s: float,
    generator_core_share: float,
) -> Measured:
    pairs = zip(watch.due_s, watch.latency_s, strict=True)
    arrived = [(due_s, took_s) for due_s, took_s in pairs if took_s == took_s]
    latency_s = [took_s for _, took_s in arrived]
    return Measured(
        offered_per_s=offered_per_s,
        achieved_per_s=achieved_per_s,
        sent=len(watch.due_s),
        arrived=watch.arrived,
        latency=Distribution.of([took_s * _US for took_s in latency_s]),
        late=Distribution.of([each * _US for each in late_s]),
        growth=growth([due_s for due_s, _ in arrived], latency_s),
        late_growth=growth(watch.due_s[: len(late_s)], late_s),
        generator_core_share=generator_core_share,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection of ours in the middle of a measurement."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
