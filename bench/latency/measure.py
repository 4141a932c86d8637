"""Rounds over the subjects: in each, a lone stanza, the rates, and the search for saturation.

Every subject is started anew in every round, and the order rotates, so that what the machine does
meanwhile meets each of them. Called by `command`; `course` does a single measurement.
"""

import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from OpenSSL import SSL

from bench.accepting import HOST, server_context
from bench.authority import Authority
from bench.cost import cpu_s, machine_s
from bench.latency.course import Measured, Road, at_rate, lone
from bench.latency.ends import (
    Ends,
    Inbox,
    Template,
    TimedComponent,
    TimedRemote,
    accepting,
    joined,
    relayed,
)
from bench.latency.saturation import next_rate
from bench.latency.schedule import Spacing, schedule
from bench.remote import client_context
from bench.subjects import Subject, subject
from router.xmpp.pair import DomainPair

LOCAL: Final = "montague.lit"
REMOTE: Final = "capulet.lit"
SECRET: Final = "s3cr3t"
MODES: Final = ("in", "out", "echo")
FLOOR: Final = "generator"
"""The two ends joined without a server: what every other figure contains."""
RELAY: Final = "haproxy"
LEAVING_S: Final = 5.0
PROBE_S: Final = 2.0
FIRST_HELD_PER_S: Final = 1000.0
WARM_UP: Final = 100
WARM_UP_PAUSE_S: Final = 0.001
WARM_UP_PER_S: Final = 1000.0
WARM_UP_S: Final = 1.0

Kind = Literal["lone", "rate", "probe", "half"]
Say = Callable[[str], None]
Cost = Callable[[], float]
"""CPU seconds that a subject's processes have used so far."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    subjects: tuple[str, ...]
    """Of `bench.subjects`, and `FLOOR` and `RELAY`."""
    modes: tuple[str, ...]
    rates_per_s: tuple[float, ...]
    seconds: float
    """The length of the schedule of each rate."""
    rounds: int
    lone: int
    """How many stanzas one at a time; 0 for none."""
    pause_s: float
    spacing: Spacing
    to_saturation: bool
    acceptors: int
    workers: int

    def searches(self, subject: str) -> bool:
        """Whether saturation of this one is looked for: what is no server has none of interest."""
        return self.to_saturation and subject not in (FLOOR, RELAY)

    def steps(self) -> int:
        """How many measurements the progress counts; a search for saturation is one."""
        each = len(self.rates_per_s) + bool(self.lone)
        searches = sum(map(self.searches, self.subjects))
        return self.rounds * len(self.modes) * (each * len(self.subjects) + searches)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `kind`: "probe" in search of saturation, "half" at half of it."""

    subject: str
    mode: str
    kind: Kind
    round: int
    others_cores: float
    """Cores that were busy meanwhile with neither the subject nor the generator: noise."""
    measured: Measured


@dataclass(frozen=True, slots=True)
class _Place:
    """What all subjects of a run share: one certificate a domain."""

    root: Path
    anchors: Path

    @classmethod
    def make(cls, root: Path) -> "_Place":
        authority = Authority.make(root / "certs")
        for name in (LOCAL, REMOTE):
            authority.issue(name, eku="both")
        return cls(root, authority.anchors)

    def certificate(self, name: str) -> Path:
        return self.root / "certs" / f"{name}.crt"

    def client(self) -> SSL.Context:
        file = self.certificate(REMOTE)
        return client_context(str(file), str(file.with_suffix(".key")))

    def server(self, name: str) -> SSL.Context:
        file = self.certificate(name)
        return server_context(str(file), str(file.with_suffix(".key")))


async def measure(plan: Plan, now: Say, done: Callable[[], None]) -> list[Row]:
    """All rounds. `now` is told what begins, `done` when a step of `plan.steps()` is over."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory:
        place = _Place.make(Path(directory))
        for number in range(plan.rounds):
            for name in rotated(plan.subjects, number):
                now(f"round {number + 1}: {name} starts")
                async with _around(name, place, plan, number) as (ends, cost):
                    for mode in plan.modes:
                        course = _Course(plan, name, mode, number, cost, now, done)
                        rows += await course.run(road(mode, ends))
    return rows


def rotated(names: Sequence[str], number: int) -> Iterator[str]:
    """The order in this round: each name comes first in turn."""
    for place in range(len(names)):
        yield names[(place + number) % len(names)]


def road(mode: str, ends: Ends) -> Road:
    """From where to where stanzas go: "in" and "out" one way, "echo" there and back."""
    inward, outward = Template.between(REMOTE, LOCAL), Template.between(LOCAL, REMOTE)
    ends.inner_inbox.send_back = None
    if mode == "out":
        return Road(ends.inner, outward, ends.outer_inbox)
    if mode == "in":
        return Road(ends.outer, inward, ends.inner_inbox)
    ends.inner_inbox.send_back = lambda numbers: ends.inner.send_now(outward.of(numbers))
    return Road(ends.outer, inward, ends.outer_inbox)


@asynccontextmanager
async def _around(
    name: str, place: _Place, plan: Plan, number: int
) -> AsyncIterator[tuple[Ends, Cost]]:
    """A subject of its own for this round between two ends, and what its processes have used."""
    home = place.root / f"{name}-{number}"
    if name == FLOOR:
        async with joined(place.client(), place.server(LOCAL)) as ends:
            yield ends, lambda: 0.0
        return
    if name == RELAY:
        async with relayed(place.client(), place.certificate(LOCAL), home) as (ends, relay):
            yield ends, lambda: cpu_s(relay.pid)
        return
    outer, inner = Inbox(), Inbox()
    remotes = accepting({REMOTE: place.server(REMOTE)}, outer)
    async with remotes.listener as listener:
        server = subject(
            name,
            home,
            certificates=place.root / "certs",
            trust_anchors=place.anchors,
            components={LOCAL: SECRET},
            routes={REMOTE: (HOST, listener.port)},
            acceptors=plan.acceptors,
            workers=plan.workers,
        )
        async with server, _connected(server, place.client(), outer, inner) as ends:
            pids = tuple(server.processes().values())
            yield ends, lambda: sum(map(cpu_s, pids))


@asynccontextmanager
async def _connected(
    server: Subject, context: SSL.Context, outer: Inbox, inner: Inbox
) -> AsyncIterator[Ends]:
    component, remote = (
        TimedComponent(LOCAL, SECRET),
        TimedRemote(DomainPair(REMOTE, LOCAL), context),
    )
    component.inbox, remote.inbox = inner, outer
    await component.connect(HOST, server.component_port)
    await remote.connect(HOST, server.s2s_port)
    if remote.closed is not None:
        raise ConnectionError(f"{server.name} refused the generator: {remote.closed}")
    try:
        yield Ends(remote, outer, component, inner)
    finally:
        await remote.leave(LEAVING_S)
        await component.leave(LEAVING_S)


@dataclass(slots=True)
class _Course:
    """All measurements of one subject and mode in one round."""

    plan: Plan
    subject: str
    mode: str
    number: int
    cost: Cost
    now: Say
    done: Callable[[], None]

    async def run(self, road: Road) -> list[Row]:
        """Warm up, and then one after the other."""
        warm_up_s = min(WARM_UP_S, self.plan.seconds)
        await lone(road, WARM_UP, WARM_UP_PAUSE_S)
        await at_rate(road, WARM_UP_PER_S, self._schedule(WARM_UP_PER_S, warm_up_s))
        rows = []
        if self.plan.lone:
            self._say("lone stanzas")
            rows.append(await self._row("lone", lone(road, self.plan.lone, self.plan.pause_s)))
            self.done()
        for per_s in self.plan.rates_per_s:
            self._say(f"{per_s:,.0f}/s")
            rows.append(await self._rate("rate", road, per_s, self.plan.seconds))
            self.done()
        if self.plan.searches(self.subject):
            rows += await self._saturate(road, rows)
            self.done()
        return rows

    async def _saturate(self, road: Road, rows: Sequence[Row]) -> list[Row]:
        """Probe until the edge is known to 10 %, then measure at half of it."""
        carried = [row.measured.offered_per_s for row in rows if not row.measured.is_saturated]
        held, failed = max(carried, default=0.0) or FIRST_HELD_PER_S, None
        found = []
        while (per_s := next_rate(held, failed)) is not None:
            self._say(f"saturated at {per_s:,.0f}/s?")
            found.append(await self._rate("probe", road, per_s, PROBE_S))
            if found[-1].measured.is_saturated:
                # A hiccup of the machine looks the same; it does not come twice.
                found.append(await self._rate("probe", road, per_s, PROBE_S))
            if not found[-1].measured.is_saturated:
                held = per_s
            elif found[-1].measured.is_generator_limited:
                break
            else:
                failed = per_s
        self._say(f"{held / 2:,.0f}/s, half of saturation")
        return [*found, await self._rate("half", road, held / 2, self.plan.seconds)]

    async def _rate(self, kind: Kind, road: Road, per_s: float, seconds: float) -> Row:
        return await self._row(kind, at_rate(road, per_s, self._schedule(per_s, seconds)))

    async def _row(self, kind: Kind, measuring: Coroutine[None, None, Measured]) -> Row:
        busy_s, own_s, began_s = machine_s(), self._own_s(), time.monotonic()
        measured = await measuring
        wall_s = time.monotonic() - began_s
        others = (machine_s() - busy_s - self._own_s() + own_s) / wall_s
        return Row(self.subject, self.mode, kind, self.number, max(0.0, others), measured)

    def _own_s(self) -> float:
        return time.process_time() + self.cost()

    def _schedule(self, per_s: float, seconds: float) -> "array[float]":
        return schedule(per_s, seconds, self.plan.spacing, seed=self.number)

    def _say(self, what: str) -> None:
        self.now(f"round {self.number + 1}: {self.subject} {self.mode}, {what}")


def as_rows(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Plain values for JSON, flat."""
    return [
        {
            "subject": row.subject,
            "mode": row.mode,
            "kind": row.kind,
            "round": row.round,
            "others_cores": row.others_cores,
            **asdict(row.measured),
            "is_saturated": row.measured.is_saturated,
            "is_generator_limited": row.measured.is_generator_limited,
        }
        for row in rows
    ]
