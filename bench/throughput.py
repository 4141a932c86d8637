"""`causeway bench throughput`: stanzas per second and CPU per stanza through a whole node.

Starts a node, loads it from outside over TLS, and divides the CPU seconds of all its processes by
the stanzas handed over. The generator's own share of a core is reported beside it.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.authority import Authority
from bench.peers.causeway import HOST, Causeway
from bench.remote import STANZA_BYTES, Component, Load, Remote, chat, client_context
from router.xmpp.pair import DomainPair

LOCAL = "montague.lit"
SECRET = "s3cr3t"
MODES = ("in", "out", "echo", "in-8")
_LIMIT_S = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """One mode, one round. CPU in microseconds per stanza handed over, by process."""

    mode: str
    stanzas: int
    bytes_each: int
    wall_s: float
    cpu_us: float
    cpu_us_by_process: dict[str, float]
    generator_core_share: float

    @property
    def per_second(self) -> float:
        return self.stanzas / self.wall_s


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, user and system."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def measure(
    *, stanzas: int, modes: tuple[str, ...], rounds: int, workers: int, acceptors: int, say: Say
) -> list[Result]:
    """Run the modes interleaved, `rounds` times, on one node per round."""
    results = []
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory:
        root = Path(directory)
        authority = Authority.make(root / "certs")
        remotes = [f"capulet{n}.lit" for n in range(8)]
        for name in (LOCAL, *remotes):
            authority.issue(name)
        for number in range(rounds):
            for mode in modes:
                home = root / f"{mode}-{number}"
                home.mkdir()
                node = Causeway(
                    home,
                    certificates=root / "certs",
                    trust_anchors=authority.anchors,
                    components={LOCAL: SECRET},
                    acceptors=acceptors,
                    workers=workers,
                )
                async with node:
                    result = await _mode(node, root / "certs", remotes, mode, stanzas)
                say(
                    f"round {number + 1} {mode:5} {result.cpu_us:6.2f} µs/stanza"
                    f" {result.per_second:9.0f}/s generator {result.generator_core_share:.0%}"
                )
                results.append(result)
    return results


async def _mode(
    node: Causeway, certificates: Path, remotes: list[str], mode: str, stanzas: int
) -> Result:
    names = remotes if mode == "in-8" else remotes[:1]
    ends = []
    for name in names:
        context = client_context(
            str(certificates / f"{name}.crt"), str(certificates / f"{name}.key")
        )
        remote = Remote(DomainPair(name, LOCAL), context)
        await remote.connect(HOST, node.s2s_port)
        if remote.closed is not None:
            raise ConnectionError(f"the node refused the generator: {remote.closed}")
        ends.append(remote)
    inward = chat(names[0], LOCAL)
    outward = chat(LOCAL, names[0])
    component = Component(LOCAL, SECRET, outward if mode == "echo" else b"")
    await component.connect(HOST, node.component_port)

    if mode == "out":
        await _run(ends[0], lambda: component.send(outward, 500), 500)
    else:
        await _run(component, lambda: ends[0].send(inward, 500), 500)

    pids = {"supervisor": node.pid, **node.children()}
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    own, started = time.process_time(), time.monotonic()
    if mode == "out":
        await _run(ends[0], lambda: component.send(outward, stanzas), stanzas)
    elif mode == "echo":
        await _run(ends[0], lambda: ends[0].send(inward, stanzas), stanzas)
    else:
        share = stanzas // len(ends)

        async def all_ends() -> None:
            async with asyncio.TaskGroup() as group:
                for name, end in zip(names, ends, strict=True):
                    group.create_task(end.send(chat(name, LOCAL), share))

        await _run(component, all_ends, share * len(ends))
    wall = time.monotonic() - started
    share_own = (time.process_time() - own) / wall
    handed = stanzas * 2 if mode == "echo" else stanzas // len(ends) * len(ends)
    used = {name: (cpu_s(pid) - before[name]) * 1e6 / handed for name, pid in pids.items()}
    for end in (*ends, component):
        end.close()
    return Result(mode, handed, STANZA_BYTES, wall, sum(used.values()), used, share_own)


async def _run(end: Load, send: Callable[[], Awaitable[None]], total: int) -> None:
    """Send, and wait until all has arrived at this end. A run cut short is no measurement."""
    end.expect(total)
    async with asyncio.timeout(_LIMIT_S):
        await send()
        await end.complete.wait()
    if end.arrived < total:
        raise ConnectionError(f"the connection ended after {end.arrived} of {total} stanzas")


def as_rows(results: list[Result]) -> list[dict[str, object]]:
    """Plain values for JSON."""
    return [{**asdict(result), "per_second": result.per_second} for result in results]
