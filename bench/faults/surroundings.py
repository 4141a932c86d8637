"""Experiments on what surrounds the node: descriptors run out, the log is not read, strangers in
the bus."""

import asyncio
import fcntl
import os
import random
import resource
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import zmq

from bench.accepting import HOST
from bench.faults.experiment import Say, Settings, course
from bench.faults.stage import Scene, Stage
from bench.faults.verdict import Check, Judge, Outcome
from bench.faults.watch import fds_of
from bench.hostile import measure as hostile
from bench.peers.causeway import Causeway
from router.cli import admin
from router.wire.codec import encode
from router.wire.endpoints import bus_endpoint
from router.wire.frames import Forward, Reject
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

SPARE_FDS: Final = 40
STORM_PER_TICK: Final = 20
BUSY_SHARE: Final = 0.2
GARBAGE: Final = 100_000
GARBAGE_AT_ONCE: Final = 500
OVERSIZE_BYTES: Final = 17 << 20
LANES: Final = 64
STREAMS: Final = 64
PIPE_BYTES: Final = 4096
HALF: Final = 0.5


# --- descriptors ---


async def no_descriptors(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 29: acceptors may open hardly any more descriptors, and a storm of connections."""

    async def storm(stage: Stage, seconds: float, say: Say) -> None:
        acceptors = [pid for name, pid in stage.node.children().items() if name[0] == "a"]
        before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in acceptors}
        limits = {pid: fds_of(pid) + SPARE_FDS for pid in acceptors}
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[pid][1]))
        say(f"{SPARE_FDS} descriptors left to each acceptor")
        calm_cpu_s, calm_s = stage.notes["calm cpu"], stage.notes["calm s"]
        cpu_s, from_s = stage.watch.cpu_s(), time.monotonic()
        held = await _many(stage, limits, seconds)
        share = (stage.watch.cpu_s() - cpu_s) / (time.monotonic() - from_s)
        stage.notes["extra cpu"] = share - calm_cpu_s / calm_s
        for pid in acceptors:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before[pid])
        for writer in held:
            writer.close()
        await asyncio.sleep(1)
        stage.notes["recovers"] = float(await _greets(stage.node.s2s_port))

    async def measure_calm(stage: Stage) -> None:
        cpu_s, from_s = stage.watch.cpu_s(), time.monotonic()
        await stage.run(settings.per_s, 3)
        stage.notes["calm cpu"] = stage.watch.cpu_s() - cpu_s
        stage.notes["calm s"] = time.monotonic() - from_s

    def judging(judge: Judge, stage: Stage) -> None:
        judge.clean()
        judge.at_least("all descriptors taken", stage.notes.get("at the limit", 0), 1)
        judge.at_most("CPU above the calm", stage.notes["extra cpu"], BUSY_SHARE, "cores")
        judge.that("takes connections again", stage.notes["recovers"] == 1.0)
        judge.household()

    return await course(
        29,
        "descriptors run out",
        number,
        Scene(),
        storm,
        judging,
        per_s=settings.per_s,
        seconds=settings.lasting(10),
        say=say,
        prepare=measure_calm,
    )


async def _many(
    stage: Stage, limits: Mapping[int, int], seconds: float
) -> list[asyncio.StreamWriter]:
    """Connections that say nothing, more than can be taken."""
    held: list[asyncio.StreamWriter] = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if len(held) < SPARE_FDS * 8:
            for _ in range(STORM_PER_TICK):
                with suppress(OSError):
                    source = (f"127.0.1.{random.randrange(1, 250)}", 0)
                    port = stage.node.s2s_port
                    _, writer = await asyncio.open_connection(HOST, port, local_addr=source)
                    held.append(writer)
        await asyncio.sleep(0.1)
        if all(fds_of(pid) >= limit - 1 for pid, limit in limits.items()):
            stage.notes["at the limit"] = 1.0
    return held


async def _greets(port: int) -> bool:
    """Whether a new connection gets an answer."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"<nonsense>")
            answer = await reader.read(100)
            writer.close()
            return bool(answer)
    return False


# --- the log ---


class _Unheard(Causeway):
    """A node whose log goes to a pipe that is read only while it starts."""

    def through(self, pipe: Path) -> None:
        """To be called before `start`."""
        self.command = ("sh", "-c", 'exec "$@" 2>"$0"', str(pipe), *self.command)
        self.ready_line = ""

    def _listens(self) -> bool:
        try:
            status, _ = admin.get(self.run_dir, "/ready")
        except admin.NotRunning:
            return False
        return status == 200


async def log_not_read(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 30: the log is a pipe, it is full, and nobody reads it."""
    held: list[int] = []

    def read_on() -> None:
        asyncio.get_running_loop().add_reader(held[0], os.read, held[0], PIPE_BYTES)

    def pipe_for(node: Causeway) -> None:
        pipe = node.directory / "pipe"
        os.mkfifo(pipe)
        held.append(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))
        fcntl.fcntl(held[0], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        read_on()
        assert isinstance(node, _Unheard)
        node.through(pipe)

    async def chatter(stage: Stage, seconds: float, say: Say) -> None:
        asyncio.get_running_loop().remove_reader(held[0])
        say("connections that make lines in the log; nobody reads it")
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            await _greets(stage.node.s2s_port)
            await asyncio.sleep(0.02)
        read_on()

    def judging(judge: Judge, stage: Stage) -> None:
        judge.clean()
        judge.at_most("worst stall", judge.findings.worst_ms, 500, "ms")
        judge.household()

    try:
        return await course(
            30,
            "log not read",
            number,
            Scene(),
            chatter,
            judging,
            per_s=settings.per_s,
            seconds=settings.lasting(10),
            say=say,
            node_kind=_Unheard,
            before_start=pipe_for,
        )
    finally:
        for each in held:
            asyncio.get_running_loop().remove_reader(each)
            os.close(each)


# --- the bus ---


class _Stranger:
    """A process of the same user that speaks to an acceptor's socket as the worker it is not."""

    def __init__(self, endpoint: str, name: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.IDENTITY, name.encode())
        self._socket.setsockopt(zmq.SNDTIMEO, 2000)
        self._socket.connect(endpoint)

    def send(self, parts: list[bytes]) -> None:
        """Wait up to 2 s for room."""
        with suppress(zmq.Again):
            self._socket.send_multipart(parts)

    def close(self) -> None:
        self._socket.close()
        self._context.term()


def _garbage(source: random.Random, good: list[bytes]) -> list[bytes]:
    """Octets, a frame cut short, one with another version, one of too many parts."""
    match source.randrange(4):
        case 0:
            return [source.randbytes(source.randint(0, 200))]
        case 1:
            return [good[0][: source.randrange(len(good[0]))]]
        case 2:
            spoilt = bytearray(good[0])
            spoilt[source.randrange(min(3, len(spoilt)))] ^= 0x7F
            return [bytes(spoilt), *good[1:]]
        case _:
            return [*good, b"", source.randbytes(10)]


async def strangers_in_the_bus(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 34: the sockets' files are deleted, and garbage comes in masses."""

    async def babble(stage: Stage, seconds: float, say: Say) -> None:
        before = set(stage.node.children().values())
        endpoints = [
            bus_endpoint(stage.node.run_dir, name)
            for name in stage.node.children()
            if name[0] == "a"
        ]
        strangers = [_Stranger(each, "w9.9") for each in endpoints]
        await asyncio.sleep(0.3)
        for each in endpoints:
            await asyncio.to_thread(os.unlink, each.removeprefix("ipc://"))
        good = list(encode(_forward(1, 1, 1, "a0.1")))
        source = random.Random(34)
        for turn in range(GARBAGE):
            strangers[turn % len(strangers)].send(_garbage(source, good))
            if turn % GARBAGE_AT_ONCE == 0:
                await asyncio.sleep(0.01)
        strangers[0].send([bytes(OVERSIZE_BYTES)])
        say(f"{GARBAGE:,} bad frames")
        await asyncio.sleep(seconds)
        stage.notes["gone"] = len(before - set(stage.node.children().values()))
        for stranger in strangers:
            stranger.close()

    def judging(judge: Judge, stage: Stage) -> None:
        judge.clean()
        judge.at_most("processes that ended", stage.notes["gone"], 0)
        judge.household()

    return await course(
        34,
        "garbage in the bus, its files deleted",
        number,
        Scene(),
        babble,
        judging,
        per_s=settings.per_s / 2,
        seconds=settings.lasting(20),
        say=say,
        expected_errors=("bus.bad_frame",),
    )


def _forward(lane: int, stream: int, generation: int, owner: str) -> Forward:
    pair = DomainPair("montague0.lit", "capulet0.lit")
    octets = b"<message from='a@montague0.lit' to='b@capulet0.lit'><body>old</body></message>"
    return Forward(owner, lane, 1, 1, Counts(1, 0, 0), pair, generation, stream, 0, octets)


async def two_owners(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 36: a worker that lost its lease goes on with the old generation.

    The supervisor would have killed it first, so a stranger plays it, in every lane and on every
    stream: what it forwards and refuses must count for nothing.
    """

    async def usurp(stage: Stage, seconds: float, say: Say) -> None:
        acceptors = [name for name in stage.node.children() if name[0] == "a"]
        old = {
            name: _Stranger(bus_endpoint(stage.node.run_dir, name), "w8.1") for name in acceptors
        }
        until_s, rounds = time.monotonic() + seconds, 0
        while time.monotonic() < until_s:
            for name, stranger in old.items():
                for lane in range(1, LANES):
                    stream = random.randrange(1, STREAMS)
                    owner = random.choice(acceptors)
                    stranger.send(list(encode(_forward(lane, stream, 0, owner))))
                    first = random.randrange(1, 2000)
                    refused = Reject(lane, 1, first, 5, "item-not-found", "cancel", name)
                    stranger.send(list(encode(refused)))
                await asyncio.sleep(0.05)
            rounds += 1
        say(f"{rounds * LANES * len(old):,} forwards and refusals of an old lease")
        for stranger in old.values():
            stranger.close()

    def judging(judge: Judge, stage: Stage) -> None:
        judge.clean()
        judge.household()

    return await course(
        36,
        "two workers for one shard",
        number,
        Scene(),
        usurp,
        judging,
        per_s=settings.per_s,
        seconds=settings.lasting(10),
        say=say,
    )


# --- hostile peers ---


async def hostile_peers(settings: Settings, number: int, say: Say) -> Outcome:
    """Experiment 22, short: `causeway bench hostile` with two acceptors and two workers."""
    began_s = time.monotonic()
    found = await hostile.measure(
        seconds=settings.lasting(60),
        stanzas_per_s=int(settings.per_s * HALF),
        connections_per_minute=3000,
        acceptors=2,
        workers=2,
        say=lambda words: say(f"22 hostile: {words}"),
    )
    return Outcome(
        22,
        "hostile connections",
        number,
        round(time.monotonic() - began_s, 1),
        checks=tuple(_hostile_checks(found)),
    )


def _hostile_checks(found: hostile.Result) -> list[Check]:
    harmed = {
        "lost": found.lost,
        "duplicated": found.duplicated,
        "reordered": found.reordered,
        "forged": found.forged,
    }
    checks = [Check(name, str(count), "<= 0", not count) for name, count in harmed.items()]
    p99_ms, bound_ms = found.flooded.p99_ms, hostile.MAX_P99_MS
    p99 = Check("p99", f"{p99_ms:.1f} ms", f"<= {bound_ms:.0f} ms", p99_ms <= bound_ms)
    made = Check("hostile connections", f"{found.made:,}", ">= 1", found.made > 0)
    return [*checks, p99, made]
