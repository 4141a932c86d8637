"""The rounds: every server does every cell, interleaved, in an order that rotates.

All servers of a round run at once, one works. Before each measurement the same work is done for a
while: that warms it up and tells how many stanzas fill the time. Called by `command`.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from OpenSSL import SSL

from bench import subjects
from bench.accepting import HOST, Accepting, server_context
from bench.cost import cpu_s
from bench.peers.causeway import Toml
from bench.remote import CHUNK_BYTES, Tally
from bench.subjects import Subject
from bench.throughput.cells import Cell
from bench.throughput.ends import SECRET, Ends, Town, around
from bench.throughput.flow import Answers, Source, burst_of, flow
from bench.throughput.ratios import OURS
from bench.throughput.relays import NAMES as RELAYS
from bench.throughput.relays import Relay

WARM_UP_SHARE: Final = 0.15
FIRST_BATCH: Final = 200
LIMIT_S: Final = 300.0
FIRST_PATIENCE_S: Final = (12.0, 12.0, 12.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run. `stanzas` 0: as many as take about `seconds`, for each server its own number."""

    subjects: tuple[str, ...]
    cells: tuple[Cell, ...]
    rounds: int
    seconds: float
    stanzas: int = 0
    workers: int = 1
    components: int = 1
    burst_bytes: int = CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Sample:
    """One server, one cell, one round. CPU in microseconds per stanza handed over, by process."""

    subject: str
    mode: str
    direction: str
    pairs: int
    size_bytes: int
    acceptors: int
    burst_stanzas: int
    round: int
    stanzas: int
    wall_s: float
    cpu_us: float
    cpu_us_by_process: dict[str, float]
    generator_core_share: float

    @property
    def per_second(self) -> float:
        """Stanzas handed over."""
        return self.stanzas / self.wall_s


class Watcher(Protocol):
    """Who is told how the run goes on; `bench.progress.Steps` is one."""

    def now(self, words: str) -> None: ...
    def done(self) -> None: ...
    def say(self, words: str) -> None: ...


class Server(Protocol):
    """A server under test that can be surrounded with load."""

    def processes(self) -> dict[str, int]: ...
    def around(self, cell: Cell) -> AbstractAsyncContextManager[Ends]: ...


class Step(NamedTuple):
    """One measurement: in this round, of this cell, on this server."""

    round: int
    cell: Cell
    subject: str


def plan(settings: Settings) -> list[Step]:
    """Every measurement in its order.

    A server without acceptors has no part in their sweep, and none but ours has others behind it.
    """
    first = settings.cells[0].acceptors
    return [
        Step(number, cell, name)
        for number in range(1, settings.rounds + 1)
        for turn, cell in enumerate(settings.cells)
        for name in rotated(settings.subjects, number + turn)
        if name in OURS or (cell.acceptors == first and cell.direction != "gateway")
    ]


async def measure(settings: Settings, watcher: Watcher) -> list[Sample]:
    """All samples, in the order they were taken.

    Raises ConnectionError when a run is cut short, and DaemonError when a server does not start.
    """
    samples: list[Sample] = []
    most = max(cell.pairs for cell in settings.cells)
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory:
        town = Town.make(Path(directory), settings.components, most)
        for number, steps in groupby(plan(settings), key=attrgetter("round")):
            home = Path(directory) / f"round-{number}"
            async with _servers(settings, town, home) as servers:
                for step in steps:
                    watcher.now(f"{step.cell.mode}, {step.cell.size_bytes} octets: {step.subject}")
                    server = servers[step.subject, step.cell.acceptors]
                    async with server.around(step.cell) as ends:
                        sample = await _measured(server, ends, step, settings)
                    samples.append(sample)
                    watcher.say(_line(sample))
                    watcher.done()
    return samples


def rotated(names: Sequence[str], by: int) -> list[str]:
    """The same names, beginning so many further on: nobody is always the first.

    >>> rotated("abc", 4)
    ['b', 'c', 'a']
    """
    at = by % len(names)
    return [*names[at:], *names[:at]]


@asynccontextmanager
async def _servers(
    settings: Settings, town: Town, home: Path
) -> AsyncIterator[dict[tuple[str, int], Server]]:
    contexts = _contexts(town.elsewhere, town.remote)
    inside = _contexts(town.authority.directory, town.behind)
    wanted = dict.fromkeys((step.subject, step.cell.acceptors) for step in plan(settings))
    async with AsyncExitStack() as stack:
        servers: dict[tuple[str, int], Server] = {}
        for name, acceptors in wanted:
            directory = home / f"{name}-{acceptors}"
            if name in RELAYS:
                servers[name, acceptors] = await stack.enter_async_context(
                    Relay(name, directory, town)
                )
                continue
            accepting, behind = Accepting(contexts), Accepting(inside)
            for each in (accepting, behind):
                await stack.enter_async_context(each.listener)
            server = subjects.subject(
                name,
                directory,
                certificates=town.authority.directory,
                trust_anchors=town.authority.anchors,
                components=dict.fromkeys(town.hosted, SECRET),
                routes=dict.fromkeys(town.remote, (HOST, accepting.listener.port)),
                acceptors=acceptors,
                workers=settings.workers,
                settings=_gateway(town, behind.listener.port) if name in OURS else None,
            )
            await stack.enter_async_context(server)
            servers[name, acceptors] = _Federated(server, town, accepting, behind)
        yield servers


def _contexts(directory: Path, names: Sequence[str]) -> dict[str, SSL.Context]:
    return {
        name: server_context(str(directory / f"{name}.crt"), str(directory / f"{name}.key"))
        for name in names
    }


def _gateway(town: Town, port: int) -> dict[str, Toml]:
    behind: dict[str, Toml] = {"attach": "server", "target": f"{HOST}:{port}"}
    return {
        "listen": {"inside": [f"{HOST}:0"]},
        "domains": dict.fromkeys(town.behind, behind),
    }


@dataclass(frozen=True, slots=True)
class _Federated:
    """A server that speaks XMPP, and who federates with it."""

    server: Subject
    town: Town
    accepting: Accepting
    behind: Accepting

    def processes(self) -> dict[str, int]:
        return self.server.processes()

    def around(self, cell: Cell) -> AbstractAsyncContextManager[Ends]:
        return around(self.server, self.town, self.accepting, self.behind, cell)


async def _measured(server: Server, ends: Ends, step: Step, settings: Settings) -> Sample:
    cell = step.cell
    sources = ends.outward if cell.direction == "out" else ends.inward
    tally = ends.inner if cell.is_inward else ends.outer
    if cell.direction == "echo":
        ends.inner.answer = Answers(ends.outward, settings.burst_bytes)
    else:
        back = ends.outer if cell.is_inward else ends.inner
        back.answer = lambda count: tally.end()  # an error came back: what it answers is missing
    await _first_of_each(sources, tally)
    rate = await _warm_up(sources, tally, cell, settings)
    each = share(rate * settings.seconds, cell, settings)

    pids = server.processes()
    before = {label: cpu_s(pid) for label, pid in pids.items()}
    own, started = time.process_time(), time.monotonic()
    await _run(sources, each, settings.burst_bytes, tally)
    wall_s = time.monotonic() - started
    own_s = time.process_time() - own
    handed = each * len(sources) * (2 if cell.direction == "echo" else 1)
    used = {label: (cpu_s(pid) - before[label]) * 1e6 / handed for label, pid in pids.items()}
    return Sample(
        subject=step.subject,
        mode=cell.mode,
        direction=cell.direction,
        pairs=cell.pairs,
        size_bytes=cell.size_bytes,
        acceptors=cell.acceptors,
        burst_stanzas=burst_of(settings.burst_bytes, cell.size_bytes),
        round=step.round,
        stanzas=handed,
        wall_s=wall_s,
        cpu_us=sum(used.values()),
        cpu_us_by_process=used,
        generator_core_share=own_s / wall_s,
    )


async def _first_of_each(sources: Sequence[Source], tally: Tally) -> None:
    """One stanza of every pair, one by one: a server may have to dial for it.

    COMPAT ejabberd 23.01: its s2s process may take longer than the 5 s its callers wait, and then
    the stanza is gone without an error. So a first one is sent again.
    """
    for source in sources:
        for patience_s in FIRST_PATIENCE_S:
            with contextlib.suppress(TimeoutError):
                tally.expect(1)
                source.end.write(source.stanza)
                await asyncio.wait_for(tally.complete.wait(), patience_s)
                break
        if tally.arrived != 1:
            raise ConnectionError(f"{tally.arrived} first stanzas of a pair arrived, not one")


async def _warm_up(
    sources: Sequence[Source], tally: Tally, cell: Cell, settings: Settings
) -> float:
    """Ever larger batches until one takes its time; stanzas sent per second in that one."""
    batch = FIRST_BATCH
    while True:
        each = share(batch, cell, settings)
        started = time.monotonic()
        await _run(sources, each, settings.burst_bytes, tally)
        took_s = time.monotonic() - started
        if took_s >= settings.seconds * WARM_UP_SHARE or settings.stanzas:
            return each * len(sources) / took_s
        batch = 2 * each * len(sources)


def share(stanzas: float, cell: Cell, settings: Settings) -> int:
    """How many of so many each pair sends: whole bursts where there are several pairs.

    Otherwise a stream would bring the fewer stanzas at once the more streams there are, and the
    cost of a read would be taken for that of a pair. What `settings` fix is not rounded.
    """
    if settings.stanzas:
        return max(1, settings.stanzas // cell.pairs)
    burst = burst_of(settings.burst_bytes, cell.size_bytes) if cell.pairs > 1 else 1
    return burst * max(1, round(stanzas / cell.pairs / burst))


async def _run(sources: Sequence[Source], each: int, burst_bytes: int, tally: Tally) -> None:
    """Send, and wait until all has arrived. A run cut short is no measurement."""
    total = each * len(sources)
    tally.expect(total)
    try:
        async with asyncio.timeout(LIMIT_S):
            await flow(sources, each, burst_bytes, tally)
            await tally.complete.wait()
    except TimeoutError:
        reason = f"{tally.arrived} of {total} stanzas arrived within {LIMIT_S:g} s"
        raise ConnectionError(reason) from None
    if tally.arrived != total:
        reason = f"a connection ended, or an error came back, after {tally.arrived} of {total}"
        raise ConnectionError(f"{reason} stanzas")


def _line(sample: Sample) -> str:
    return (
        f"round {sample.round}  {sample.mode:8} {sample.size_bytes:6} octets"
        f"  {sample.subject:17} x{sample.acceptors} {sample.cpu_us:8.2f} µs/stanza"
        f" {sample.per_second:11,.0f}/s  generator {sample.generator_core_share:.0%}"
    )


def as_rows(samples: Sequence[Sample]) -> list[dict[str, object]]:
    """Plain values for JSON."""
    return [{**asdict(sample), "per_second": sample.per_second} for sample in samples]
