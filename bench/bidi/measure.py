"""Runs the cells: N domain pairs speak for the first time, and everything that takes is counted.

Starts both servers with a relay in front of each, attaches a component for every domain, warms up
with a pair of its own, and lets all pairs speak at once. Called by `command`.
"""

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from bench.bidi import domains
from bench.bidi.cell import Cell, Result, Side
from bench.cost import Memory, memory, running_s
from bench.delay import HOST, Counts, Relay
from bench.distance import Distance
from bench.peers.daemon import DaemonError
from bench.remote import Component, chat
from bench.subjects import Subject
from router.xmpp.pair import DomainPair

POLL_S: Final = 0.05
QUIET_S: Final = 1.4
"""Longer than it takes a server to ask whether its stanzas have been handled (XEP-0198)."""
"""Nothing passes for so long, and twice the round trip, and the set-up is over."""

LIMIT_S: Final = 90.0

_BOUNCE: Final = re.compile(rb"<message[^>]* type=['\"]error['\"]")

Servers = tuple[Subject, Subject]
Relays = tuple[Relay, Relay]


class End(Component):
    """A component of one domain, which knows when the first message came."""

    def __init__(self, domain: str, reply: bytes = b"") -> None:
        super().__init__(domain, domains.SECRET, reply)
        self.first_at_s = 0.0
        self.bounce = b""

    def count(self, octets: bytes) -> None:
        """Take the time of the first, and what came instead of it."""
        if self.arrived == 0:
            self.first_at_s = time.monotonic()
        if _BOUNCE.search(octets):
            self.bounce = octets
        super().count(octets)


class Ends:
    """The two components of a pair; `listening` is the one whose first message ends the clock."""

    def __init__(self, pair: DomainPair, is_answered: bool) -> None:
        self.pair = pair
        self.asking = End(pair.sender)
        self.asked = End(pair.target, chat(pair.target, pair.sender) if is_answered else b"")
        self.listening = self.asking if is_answered else self.asked
        self._sent_at_s = 0.0

    async def attach(self, servers: Servers) -> None:
        """Attach both."""
        await self.asking.connect(HOST, servers[0].component_port)
        await self.asked.connect(HOST, servers[1].component_port)

    async def speak(self) -> float:
        """Send the first message; seconds until it was answered or had arrived.

        Raises ConnectionError when it bounced or an end is gone.
        """
        self.listening.expect(1)
        self._sent_at_s = time.monotonic()
        await self.asking.send(chat(self.pair.sender, self.pair.target), 1)
        await self.listening.complete.wait()
        if bounce := self.asking.bounce or self.asked.bounce:
            raise ConnectionError(f"{self.pair} bounced: {bounce.decode(errors='replace')}")
        if not self.listening.arrived:
            raise ConnectionError(f"a component of {self.pair} lost its server")
        return self.listening.first_at_s - self._sent_at_s

    def close(self) -> None:
        """Detach both."""
        for end in (self.asking, self.asked):
            end.close()


async def measure(
    wanted: list[Cell],
    rounds: int,
    distance: Distance,
    begins: Callable[[str], None],
    ended: Callable[[], None],
    failed: Callable[[str], None],
) -> list[Result]:
    """All cells, `rounds` times over, each with servers of its own.

    `begins` and `ended` are told of each, `failed` why one has no result.
    """
    results = []
    for number in range(rounds):
        for cell in wanted:
            begins(cell.words())
            try:
                with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory:
                    results.append(await one(Path(directory), cell, number, distance))
            except (ConnectionError, TimeoutError, DaemonError) as error:
                failed(f"{cell.words()}: {type(error).__name__} {error}")
            ended()
    return results


async def one(directory: Path, cell: Cell, number: int, distance: Distance) -> Result:
    """One cell, once.

    Raises ConnectionError when a stanza bounces or a component is refused, TimeoutError when a
    stanza does not arrive, DaemonError when a server does not start.
    """
    async with _running(directory, cell, distance) as (servers, relays):
        is_answered = cell.mix == "request"
        first, *ends = [Ends(pair, is_answered) for pair in domains.pairs(cell.pairs)]
        try:
            async with asyncio.timeout(LIMIT_S):
                for each in (first, *ends):
                    await each.attach(servers)
                # What a server builds up once, by its first stream, is not what a pair costs.
                await first.speak()
                await _quiet(relays)
                for relay in relays:
                    await relay.drop()
                await _quiet(relays)
                return await _set_up(cell, number, servers, relays, ends, distance)
        finally:
            for each in (first, *ends):
                each.close()


async def _set_up(
    cell: Cell,
    number: int,
    servers: Servers,
    relays: Relays,
    ends: list[Ends],
    distance: Distance,
) -> Result:
    before = [_spent(server) for server in servers]
    own, began = time.process_time(), time.monotonic()
    first_s = await asyncio.gather(*(each.speak() for each in ends))
    share = (time.process_time() - own) / (time.monotonic() - began)
    passed = await _quiet(relays)
    sides = [
        _difference(_spent(server), start) for server, start in zip(servers, before, strict=True)
    ]
    return Result(
        cell=cell,
        round=number,
        distance=distance.name,
        connections=passed.connections,
        standing=sum(relay.standing for relay in relays),
        tls_handshakes=passed.tls_handshakes,
        packets=passed.wire.packets,
        payload_bytes=passed.wire.payload_bytes,
        wire_bytes=passed.wire.total_bytes,
        sides=(sides[0], sides[1]),
        first_s=tuple(first_s),
        generator_core_share=share,
    )


def _spent(server: Subject) -> tuple[float, Memory]:
    pids = server.processes().values()
    return sum(map(running_s, pids)), memory(pids)


def _difference(after: tuple[float, Memory], before: tuple[float, Memory]) -> Side:
    return Side(
        cpu_s=after[0] - before[0],
        rss_growth_bytes=after[1].rss_bytes - before[1].rss_bytes,
        pss_growth_bytes=after[1].pss_bytes - before[1].pss_bytes,
    )


async def _quiet(relays: Relays) -> Counts:
    """Wait until nothing more passes, and return what has."""
    enough_s = QUIET_S + 2 * max(relay.rtt_s for relay in relays)
    counts, since_s = _passed(relays), time.monotonic()
    # The servers have no way to tell us that they are done.
    while time.monotonic() - since_s < enough_s:
        await asyncio.sleep(POLL_S)
        if (now := _passed(relays)) != counts:
            counts, since_s = now, time.monotonic()
    return counts


def _passed(relays: Relays) -> Counts:
    return relays[0].counts() + relays[1].counts()


@asynccontextmanager
async def _running(
    directory: Path, cell: Cell, distance: Distance
) -> AsyncIterator[tuple[Servers, Relays]]:
    """Both servers, and in front of each a relay as long as the path."""
    given = domains.credentials(directory / "certificates", cell)
    async with AsyncExitStack() as stack:
        relays = (Relay(), Relay())
        for relay in relays:
            await stack.enter_async_context(relay)
        distance.lengthen(relays, cell.rtt_ms / 1000)
        servers = domains.servers(directory, cell, given, relays)
        for server, relay in zip(servers, relays, strict=True):
            await stack.enter_async_context(server)
            relay.target = (HOST, server.s2s_port)
        yield servers, relays
