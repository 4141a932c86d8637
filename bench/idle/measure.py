"""One server after another: set streams up, hold them in silence, close them; what each step cost.

CPU and memory are those of all the server's processes. Every stream comes from a domain of its own,
with a certificate of its own where that is its proof, so that no cache of the server's helps it
more than strangers would. Called by `command`.
"""

import asyncio
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Final

from OpenSSL import SSL

from bench.authority import Authority
from bench.cost import Memory, cpu_s, memory
from bench.idle.authoritative import Authoritative
from bench.idle.caller import Auth, Caller, client_context
from bench.remote import Component
from bench.subjects import Subject, subject

HOST: Final = "127.0.0.1"
LOCAL: Final = "montague.lit"
SECRET: Final = "s3cr3t"
AT_ONCE: Final = 8
"""Streams being set up at a time; a router admits only so many unproved ones from one address."""
WARM_UP: Final = 40
_CLOSED_AT_ONCE: Final = 32
_LIMIT_S: Final = 600.0
_SPARE_FILES: Final = 256
_FILES_PER_STREAM: Final = {"external": 1, "dialback": 2}


@dataclass(frozen=True, slots=True)
class Settings:
    """`in_sequence` of the streams are set up one after another, the rest `AT_ONCE` at a time.

    Memory is looked at when each of `stops` streams stand, `settle_s` later; the last is all. The
    idle server is watched for `seconds`.
    """

    stops: tuple[int, ...]
    in_sequence: int
    seconds: float
    bidi: bool
    settle_s: float = 2.0


@dataclass(frozen=True, slots=True)
class SetUp:
    """So many streams were set up. CPU of the server in seconds, also by process."""

    streams: int
    at_once: int
    wall_s: float
    cpu_s: float
    cpu_s_by_process: Mapping[str, float]
    generator_cpu_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """What the server holds beyond what it held before the first, while so many streams stand."""

    streams: int
    rss_bytes: int
    pss_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """One server, one proof, one round. `dialled` counts what it dialled to have keys verified."""

    subject: str
    auth: Auth
    set_up: tuple[SetUp, ...]
    held: tuple[Held, ...]
    idle_cpu_s: float
    idle_wall_s: float
    closing_cpu_s: float
    held_after: Held
    dialled: int


def missing_files(streams: int, auth: Auth) -> int:
    """How many more open files this process would need for so many streams; 0 when it may."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(0, streams * _FILES_PER_STREAM[auth] + _SPARE_FILES - soft)


async def measure(name: str, auth: Auth, settings: Settings, now: Callable[[str], None]) -> Result:
    """One round on a new server; `now` is told what goes on.

    Raises ConnectionError when a stream fails, DaemonError when the server does not run.
    """
    with tempfile.TemporaryDirectory(prefix="idle-") as directory:
        root = Path(directory)
        now(f"{name}, {auth}: certificates")
        authority = Authority.make(root / "certs")
        authority.issue(LOCAL, eku="both")
        domains = [f"r{n}.capulet.lit" for n in range(settings.stops[-1] + WARM_UP)]
        async with Authoritative(root / "unknown") as answering:
            server = subject(
                name,
                root / "server",
                certificates=root / "certs",
                trust_anchors=authority.anchors,
                components={LOCAL: SECRET},
                routes=dict.fromkeys(domains, (HOST, answering.port)) if auth == "dialback" else {},
                bidi=settings.bidi,
                dialback=auth == "dialback",
                settings={"limits": {"connections": 2 * len(domains) + 64}},
            )
            contexts = _contexts(domains, authority, root / "remotes", auth)
            callers = (
                Caller(domain, LOCAL, context, auth, bidi=settings.bidi)
                for domain, context in zip(domains, contexts, strict=True)
            )
            async with asyncio.timeout(_LIMIT_S), server:
                round_ = _Round(server, callers, now)
                return await round_.run(auth, settings, answering)


def _contexts(
    domains: list[str], authority: Authority, directory: Path, auth: Auth
) -> Iterator[SSL.Context]:
    """What each domain shows: for EXTERNAL a certificate of its own, issued before the first."""
    if auth == "dialback":
        return repeat(client_context(), len(domains))
    issued = [authority.issue(domain, into=directory, eku="both") for domain in domains]
    return (client_context(str(certificate), str(key)) for certificate, key in issued)


class _Round:
    def __init__(self, server: Subject, calls: Iterator[Caller], now: Callable[[str], None]):
        self._server = server
        self._calls = calls
        self._now = now
        self._open: list[Caller] = []
        self._pids: dict[str, int] = {}
        self._before = Memory(0, 0)

    async def run(self, auth: Auth, settings: Settings, answering: Authoritative) -> Result:
        component = Component(LOCAL, SECRET)
        await component.connect(HOST, self._server.component_port)
        await self._warm_up(settings.settle_s)
        self._pids = self._server.processes()
        dialled = answering.accepted
        self._before = memory(self._pids.values())
        set_up, held = [await self._add(settings.in_sequence, 1)], []
        for stop in settings.stops:
            set_up.append(await self._add(stop - len(self._open), AT_ONCE))
            await asyncio.sleep(settings.settle_s)
            held.append(self._held(stop))
        dialled = answering.accepted - dialled
        self._now(f"{self._server.name}, {auth}: {len(self._open)} idle streams")
        idle_cpu_s, idle_wall_s = await self._watch(settings.seconds)
        self._check()
        self._now(f"{self._server.name}, {auth}: closing")
        before = self._cpu()
        await self._close()
        await asyncio.sleep(settings.settle_s)
        closing_cpu_s = sum(self._cpu().values()) - sum(before.values())
        component.close()
        return Result(
            self._server.name,
            auth,
            tuple(set_up),
            tuple(held),
            idle_cpu_s,
            idle_wall_s,
            closing_cpu_s,
            self._held(0),
            dialled,
        )

    async def _warm_up(self, settle_s: float) -> None:
        """What a server loads and learns with its first streams is no cost of a stream."""
        await self._call(WARM_UP, AT_ONCE)
        await self._close()
        await asyncio.sleep(settle_s)

    async def _add(self, count: int, at_once: int) -> SetUp:
        self._now(f"{self._server.name}: {count} streams more, {at_once} at a time")
        before, own, started = self._cpu(), time.process_time(), time.monotonic()
        await self._call(count, at_once)
        wall_s, own = time.monotonic() - started, time.process_time() - own
        used = {name: after - before[name] for name, after in self._cpu().items()}
        return SetUp(count, at_once, wall_s, sum(used.values()), used, own)

    async def _call(self, count: int, at_once: int) -> None:
        wanted = len(self._open) + count

        async def line() -> None:
            while len(self._open) < wanted:
                caller = next(self._calls)
                self._open.append(caller)
                await caller.connect(HOST, self._server.s2s_port)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(line())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _close(self) -> None:
        while self._open:
            some, self._open = self._open[:_CLOSED_AT_ONCE], self._open[_CLOSED_AT_ONCE:]
            await asyncio.gather(*(caller.close() for caller in some))

    async def _watch(self, seconds: float) -> tuple[float, float]:
        before, started = self._cpu(), time.monotonic()
        await asyncio.sleep(seconds)
        wall_s = time.monotonic() - started
        return sum(self._cpu().values()) - sum(before.values()), wall_s

    def _check(self) -> None:
        """A server that closed streams meanwhile has not held them."""
        lost = sum(not caller.is_open for caller in self._open)
        if lost:
            raise ConnectionError(f"{self._server.name} closed {lost} of the idle streams")

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_s(pid) for name, pid in self._pids.items()}

    def _held(self, streams: int) -> Held:
        found = memory(self._pids.values())
        return Held(
            streams,
            found.rss_bytes - self._before.rss_bytes,
            found.pss_bytes - self._before.pss_bytes,
        )
