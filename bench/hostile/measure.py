"""The measurement of `causeway bench hostile`.

One real node, ordinary stanzas at a fixed rate through it and back (`steady`), and beside them
connections that each do something wrong (`flood`). Measures loss, order, latency, memory and CPU.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.authority import Authority
from bench.cost import cpu_s
from bench.hostile import flood
from bench.peers.causeway import HOST, Causeway
from bench.peers.nameserver import Nameserver
from bench.remote import STANZA_BYTES, client_context
from bench.remote import chat as chat_message
from bench.steady import Metronome, Replier, quantile_ms
from router.xmpp.pair import DomainPair

LOCAL: Final = "montague.lit"
REMOTE: Final = "capulet.lit"
SECRET: Final = "s3cr3t"
MAX_P99_MS: Final = 250.0
SAMPLE_S: Final = 1.0
PARTS: Final = 3
"""How often `measure` says what goes on now."""
SETTLE_S: Final = 5.0
MAX_HOLD_S: Final = 15.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a stanza's place in the schedule to its reply."""

    p50_ms: float
    p99_ms: float
    p99_9_ms: float
    worst_ms: float

    @classmethod
    def of(cls, latencies_s: list[float]) -> "Latency":
        """The quantiles of some."""
        return cls(*(quantile_ms(latencies_s, share) for share in (0.5, 0.99, 0.999, 1.0)))


@dataclass(frozen=True, slots=True)
class Moment:
    """The second before `at_s`: what the ordinary stanzas and the node's memory were like."""

    at_s: float
    p50_ms: float
    p99_ms: float
    rss_mib: float


@dataclass(frozen=True, slots=True)
class Result:
    """One run. Stanzas are counted there and back; memory is the node's, all processes together."""

    seconds: float
    stanzas_per_s: int
    connections_per_minute: int
    sent: int
    lost: int
    duplicated: int
    reordered: int
    forged: int
    calm: Latency
    flooded: Latency
    rss_before_mib: float
    rss_peak_mib: float
    rss_after_mib: float
    connections: dict[str, dict[str, int]]
    """By kind, by end."""
    cpu_share: dict[str, float]
    """Of a core during the flood, by process; the two generators are among them."""
    course: tuple[Moment, ...] = ()
    """From the beginning of the flood to the end of its last connection."""

    @property
    def made(self) -> int:
        """Hostile connections."""
        return sum(sum(ends.values()) for ends in self.connections.values())

    @property
    def is_good(self) -> bool:
        """Nothing lost, duplicated, reordered or smuggled in, and p99 below the bound."""
        wrong = self.lost + self.duplicated + self.reordered + self.forged
        return not wrong and self.flooded.p99_ms < MAX_P99_MS


async def measure(
    *,
    seconds: float,
    stanzas_per_s: int,
    connections_per_minute: int,
    acceptors: int,
    workers: int,
    say: Say,
) -> Result:
    """A calm part, the flood for so long, and the time until its last connection is gone."""
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory, Nameserver({}) as dns:
        root = Path(directory)
        authority = Authority.make(root / "certs")
        for name in (LOCAL, REMOTE):
            authority.issue(name)
        unknown = Authority.make(root / "unknown")
        unknown.issue(REMOTE)
        leaf = root / "unknown.pem"
        leaf.write_bytes(
            b"".join((root / "unknown" / f"{REMOTE}.{end}").read_bytes() for end in ("crt", "key"))
        )
        home = root / "node"
        home.mkdir()
        node = Causeway(
            home,
            certificates=root / "certs",
            trust_anchors=authority.anchors,
            components={LOCAL: SECRET},
            acceptors=acceptors,
            workers=workers,
            settings={"dns": {"resolvers": [dns.address]}},
        )
        async with node:
            context = client_context(
                str(root / "certs" / f"{REMOTE}.crt"), str(root / "certs" / f"{REMOTE}.key")
            )
            ordinary = Metronome(DomainPair(REMOTE, LOCAL), context, stanzas_per_s)
            await ordinary.connect(HOST, node.s2s_port)
            if ordinary.closed is not None:
                raise ConnectionError(f"the node refused the generator: {ordinary.closed}")
            replier = Replier(LOCAL, SECRET, chat_message(LOCAL, REMOTE))
            await replier.connect(HOST, node.component_port)
            settings = flood.Settings(
                HOST,
                node.s2s_port,
                LOCAL,
                REMOTE,
                str(leaf),
                connections_per_minute,
                seconds,
                hold_s=min(MAX_HOLD_S, seconds / 4),
            )
            try:
                return await _run(node, ordinary, replier, settings, say)
            except psutil.NoSuchProcess as error:
                raise RuntimeError(f"the node lost a process: {error}\n{node.log()}") from None


async def _run(
    node: Causeway,
    ordinary: Metronome,
    replier: Replier,
    settings: flood.Settings,
    say: Say,
) -> Result:
    say("calm: only ordinary stanzas")
    pids = {"supervisor": node.pid, **node.children()}
    stop = asyncio.Event()
    sending = asyncio.create_task(ordinary.run(stop))
    # What a process builds up once, by the first of everything, is not what a flood costs.
    await flood.in_a_process(_shorter(settings, settings.seconds / 10))
    calm_from = len(ordinary.latencies_s)
    await asyncio.sleep(min(5.0, settings.seconds / 4))
    flooded_from = len(ordinary.latencies_s)
    before = _rss_mib(pids)
    say(f"the flood; the node had {before:.1f} MiB before")

    used = {name: cpu_s(pid) for name, pid in pids.items()}
    own, began = time.process_time(), time.monotonic()
    course: list[Moment] = []
    watch = asyncio.create_task(_watch(pids, ordinary.latencies_s, course))
    flooding = asyncio.create_task(flood.in_a_process(settings))
    await asyncio.wait((flooding,), timeout=settings.seconds)
    wall = time.monotonic() - began
    share = {name: (cpu_s(pid) - used[name]) / wall for name, pid in pids.items()}
    share["generator of stanzas"] = (time.process_time() - own) / wall
    flooded_to = len(ordinary.latencies_s)
    say("no more of them; waiting for the last one's end")
    connections, flood_cpu_s = await flooding
    share["generator of the flood"] = flood_cpu_s / (time.monotonic() - began)

    await asyncio.sleep(min(SETTLE_S, settings.seconds / 4))
    watch.cancel()
    after = _rss_mib(pids)
    stop.set()
    await sending
    await ordinary.settle(patience_s=2)
    result = Result(
        seconds=settings.seconds,
        stanzas_per_s=round(1 / ordinary.period_s),
        connections_per_minute=settings.per_minute,
        sent=ordinary.sent,
        lost=ordinary.sent - len(ordinary.arrivals.seen),
        duplicated=ordinary.arrivals.duplicated + replier.arrivals.duplicated,
        reordered=ordinary.arrivals.reordered + replier.arrivals.reordered,
        forged=ordinary.arrivals.forged + replier.arrivals.forged,
        calm=Latency.of(ordinary.latencies_s[calm_from:flooded_from]),
        flooded=Latency.of(ordinary.latencies_s[flooded_from:flooded_to]),
        rss_before_mib=before,
        rss_peak_mib=max(before, after, *(moment.rss_mib for moment in course)),
        rss_after_mib=after,
        connections=connections,
        cpu_share=share,
        course=tuple(course),
    )
    ordinary.close()
    replier.close()
    return result


def _shorter(settings: flood.Settings, seconds: float) -> flood.Settings:
    return flood.Settings(**{**asdict(settings), "seconds": seconds})


def _rss_mib(pids: dict[str, int]) -> float:
    return sum(float(psutil.Process(pid).memory_info().rss) for pid in pids.values()) / 2**20


async def _watch(pids: dict[str, int], latencies_s: list[float], course: list[Moment]) -> None:
    began, seen = time.monotonic(), len(latencies_s)
    while True:
        await asyncio.sleep(SAMPLE_S)
        new, seen = latencies_s[seen:], len(latencies_s)
        p50, p99 = (quantile_ms(new, share) for share in (0.5, 0.99))
        course.append(Moment(time.monotonic() - began, p50, p99, _rss_mib(pids)))


def as_row(result: Result) -> dict[str, object]:
    """Plain values for JSON."""
    return {
        **asdict(result),
        "bytes_each": STANZA_BYTES,
        "made": result.made,
        "is_good": result.is_good,
    }
