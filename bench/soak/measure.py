"""A node under mixed traffic for a while, and the account of every stanza at its end.

Streams of remote servers close in order and come back, components attach anew; meanwhile what is
addressed to them goes on. Called by `command`.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Final

from bench.accepting import HOST, server_context
from bench.authority import Authority
from bench.cost import cpu_s, memory
from bench.peers.causeway import Causeway, Metrics
from bench.remote import client_context
from bench.soak.ends import Desk, HearingComponent, HearingRemote, Outlet, accepting
from bench.soak.ledger import Findings, Ledger
from bench.soak.traffic import USERS, Flow, stanza
from bench.soak.trend import settled, slope
from router.xmpp.pair import DomainPair

SECRET: Final = "s3cr3t"
TICK_S: Final = 0.01
SETTLE_S: Final = 5.0
REST_S: Final = 10.0
POLL_S: Final = 0.2
OUTCOMES: Final = ("handed", "bounced", "filtered", "unbounceable", "answered")
_MIB: Final = 2**20

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, for how long, and how often something closes (seconds; 0: never)."""

    seconds: float
    per_s: int
    """Stanzas sent a second in all, both ways; answers come on top."""
    remotes: int
    components: int
    close_every_s: float
    """A stream of a remote server closes in order and comes back."""
    reattach_every_s: float
    """A component closes its stream in order and attaches anew."""
    sample_s: float
    acceptors: int
    workers: int
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample, so many seconds after the beginning; memory is of all processes together."""

    at_s: float
    sent: int
    settled: int
    pss_mib: float
    rss_mib: float


@dataclass(frozen=True, slots=True)
class Books:
    """The node's own account at rest (counters of /metrics)."""

    taken_in: int
    outcomes: dict[str, int]
    in_flight: int

    @property
    def balance(self) -> bool:
        """Whether each stanza that came in has one outcome or is in flight."""
        return self.taken_in == sum(self.outcomes.values()) + self.in_flight

    @property
    def unbounceable(self) -> int:
        """Ended without an answer, as the standard wants it."""
        return self.outcomes["unbounceable"]


@dataclass(frozen=True, slots=True)
class Result:
    """One run."""

    findings: Findings
    books: Books
    moments: tuple[Moment, ...]
    streams_closed: int
    components_reattached: int
    generator_core_share: float
    node_core_share: float

    @property
    def growth_kib_per_s(self) -> float:
        """Of the node's memory over the last two thirds of the time, below 0 when it shrinks.

        By RSS: PSS moves when a program elsewhere begins or ceases to share a library's pages.
        """
        times_s, values = settled(
            [each.at_s for each in self.moments], [each.rss_mib for each in self.moments]
        )
        return slope(times_s, values) * 1024

    @property
    def is_good(self) -> bool:
        """Nothing lost, doubled or out of order, and the node's books balance and match ours."""
        return (
            self.findings.is_good(self.books.unbounceable)
            and self.books.balance
            and self.books.taken_in == self.findings.sent
            and not self.books.in_flight
        )


async def measure(plan: Plan, now: Say) -> Result:
    """The whole run; `now` hears of every sample. Raises ConnectionError for a stream refused."""
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory:
        async with _started(plan, Path(directory)) as run:
            return await run.run(now)


@asynccontextmanager
async def _started(plan: Plan, root: Path) -> AsyncIterator["_Run"]:
    """A node, its components attached, its remote servers connected."""
    authority = Authority.make(root / "certs")
    local = [f"montague{n}.lit" for n in range(plan.components)]
    remote = [f"capulet{n}.lit" for n in range(plan.remotes)]
    files = {name: tuple(map(str, authority.issue(name, eku="both"))) for name in local + remote}
    ledger, flows = Ledger(), _flows(local, remote)
    desk = Desk(flows, ledger)
    takers = accepting({name: server_context(*files[name]) for name in remote}, desk)
    clients = {name: client_context(*files[name]) for name in remote}
    home = root / "node"
    home.mkdir()

    def dial(pair: DomainPair) -> Callable[[], HearingRemote]:
        return lambda: HearingRemote(pair, clients[pair.sender]).serve(desk)

    def attach(domain: str) -> Callable[[], HearingComponent]:
        return lambda: HearingComponent(domain, SECRET).serve(desk)

    async with takers.listener as listener, AsyncExitStack() as stack:
        node = Causeway(
            home,
            certificates=root / "certs",
            trust_anchors=authority.anchors,
            components=dict.fromkeys(local, SECRET),
            routes=dict.fromkeys(remote, (HOST, listener.port)),
            # The generator proves itself by certificates alone, and takes those.
            dialback=False,
            acceptors=plan.acceptors,
            workers=plan.workers,
        )
        await stack.enter_async_context(node)
        components = {name: Outlet(attach(name)) for name in local}
        pairs = [DomainPair(*names) for names in product(remote, local)]
        remotes = {pair: Outlet(dial(pair)) for pair in pairs}
        desk.outlets |= remotes | {pair.inverse(): components[pair.target] for pair in pairs}
        for outlet in components.values():
            await outlet.open(node.component_port)
            stack.push_async_callback(outlet.leave)
        for outlet in remotes.values():
            await outlet.open(node.s2s_port)
            stack.push_async_callback(outlet.leave)
        yield _Run(plan, node, desk, flows, list(remotes.values()), list(components.values()))


def _flows(local: Sequence[str], remote: Sequence[str]) -> list[Flow]:
    """Each way of each pair, for each user, numbered from 0."""
    ways = [way for pair in product(remote, local) for way in (pair, pair[::-1])]
    return [Flow(n, *way) for n, way in enumerate(way for way in ways for _ in range(USERS))]


@dataclass(slots=True)
class _Run:
    plan: Plan
    node: Causeway
    desk: Desk
    flows: list[Flow]
    remotes: list[Outlet]
    components: list[Outlet]
    moments: list[Moment] = field(default_factory=list)
    closed: int = 0
    reattached: int = 0

    async def run(self, now: Say) -> Result:
        """The traffic for its time, the wait for the last outcomes, the account."""
        own_s, cost_s, began_s = time.process_time(), self._cost_s(), time.monotonic()
        async with asyncio.timeout(self.plan.seconds + SETTLE_S + REST_S):
            async with asyncio.TaskGroup() as group:
                stop = asyncio.Event()
                group.create_task(self._send(stop))
                group.create_task(self._close(stop, began_s))
                group.create_task(self._reattach(stop))
                group.create_task(self._watch(stop, began_s, now))
                group.create_task(_after(self.plan.seconds, stop))
            wall_s = time.monotonic() - began_s
            own_share = (time.process_time() - own_s) / wall_s
            node_share = (self._cost_s() - cost_s) / wall_s
            await self._settle()
            books = await self._books()
        return Result(
            self.desk.ledger.findings(),
            books,
            tuple(self.moments),
            self.closed,
            self.reattached,
            own_share,
            node_share,
        )

    async def _send(self, stop: asyncio.Event) -> None:
        """By the clock; flows whose stream is closed or held up are passed over."""
        source, ledger = random.Random(self.plan.seed), self.desk.ledger
        sent, began_s = 0, time.monotonic()
        while not stop.is_set():
            due = int((time.monotonic() - began_s) * self.plan.per_s) + 1
            for _ in range(due - sent):
                flow = source.choice(self.flows)
                outlet = self.desk.outlets[DomainPair(flow.sender, flow.target)]
                if outlet.may_write:
                    outlet.send(stanza(flow, ledger.send(flow.number), source))
            sent = due
            await asyncio.sleep(TICK_S)

    async def _close(self, stop: asyncio.Event, began_s: float) -> None:
        source = random.Random(self.plan.seed)
        while self.plan.close_every_s and await _not_yet(stop, self.plan.close_every_s):
            await source.choice(self.remotes).come_back()
            self.closed += 1

    async def _reattach(self, stop: asyncio.Event) -> None:
        source = random.Random(self.plan.seed)
        while self.plan.reattach_every_s and await _not_yet(stop, self.plan.reattach_every_s):
            await source.choice(self.components).come_back()
            self.reattached += 1

    async def _watch(self, stop: asyncio.Event, began_s: float, now: Say) -> None:
        while True:
            held = await asyncio.to_thread(memory, self._pids())
            found = self.desk.ledger.findings()
            moment = Moment(
                round(time.monotonic() - began_s, 3),
                found.sent,
                found.sent - found.lost,
                held.pss_bytes / _MIB,
                held.rss_bytes / _MIB,
            )
            self.moments.append(moment)
            now(f"{found.sent:,} stanzas sent, {found.lost:,} under way; {moment.pss_mib:.0f} MiB")
            if not await _not_yet(stop, self.plan.sample_s):
                return

    async def _settle(self) -> None:
        """Until nothing is under way, or nothing has come for a while."""
        ledger, before, quiet_s = self.desk.ledger, -1, 0.0
        while ledger.under_way and quiet_s < SETTLE_S:
            quiet_s = quiet_s + POLL_S if ledger.under_way == before else 0.0
            before = ledger.under_way
            await asyncio.sleep(POLL_S)

    async def _books(self) -> Books:
        """The node's counters, once they have caught up: each process reports now and then."""
        books, until_s = read(await self.node.metrics()), time.monotonic() + SETTLE_S
        while time.monotonic() < until_s and (
            books.in_flight or not books.balance or books.taken_in != self.desk.ledger.sent_in_all
        ):
            await asyncio.sleep(POLL_S)
            books = read(await self.node.metrics())
        return books

    def _pids(self) -> list[int]:
        return [self.node.pid, *self.node.children().values()]

    def _cost_s(self) -> float:
        return sum(map(cpu_s, self._pids()))


def read(metrics: Metrics) -> Books:
    """The account in the node's counters."""
    came = sum(
        value
        for (name, labels), value in metrics.items()
        if name == "causeway_stanzas_total" and labels[2] == "in"
    )
    outcomes = {
        outcome: int(metrics.get(("causeway_stanza_outcomes_total", (outcome,)), 0))
        for outcome in OUTCOMES
    }
    return Books(int(came), outcomes, int(metrics.get(("causeway_stanzas_in_flight", ()), 0)))


def as_row(result: Result) -> dict[str, object]:
    """Plain values for JSON."""
    return {
        **asdict(result),
        "growth_kib_per_s": result.growth_kib_per_s,
        "balance": result.books.balance,
        "is_good": result.is_good,
    }


async def _not_yet(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so long; False at once when it is to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return True
    return False


async def _after(seconds: float, stop: asyncio.Event) -> None:
    await asyncio.sleep(seconds)
    stop.set()
