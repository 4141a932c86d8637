"""Express lanes between two nodes: inner streams over byte streams, in order, and nothing lost."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, NamedTuple

import pytest

from bench.authority import Authority
from bench.peers.causeway import HOST, Causeway
from bench.peers.daemon import free_port
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import Component, attached, faults, settled
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, at_rest

pytestmark = pytest.mark.thorough

RELAYS = {MONTAGUE: f"relay.{MONTAGUE}", CAPULET: f"relay.{CAPULET}"}
LONG_S = 30.0


class Joined(NamedTuple):
    """Both nodes, with a component on each, and the wires that lead to either."""

    here: Causeway
    there: Causeway
    romeo: Component
    juliet: Component
    record: Record
    wires: "tuple[Wire, ...]"

    async def express(self) -> list[dict[str, Any]]:
        """The inner streams, as the first node sees them."""
        return [row for row in await self.here.streams() if row["leg"] == "e2e"]

    async def until_express(self) -> None:
        """Wait until both nodes have the lane."""

        async def is_up() -> bool:
            rows = [row for node in (self.here, self.there) for row in await node.streams()]
            inner = [row for row in rows if row["leg"] == "e2e" and row["state"] == "open"]
            return len(inner) == 2

        await settled(is_up, LONG_S)

    async def exchange(self, messages: int) -> None:
        """So many messages both ways at once; returns when all have arrived."""
        both = ((self.romeo, self.juliet), (self.juliet, self.romeo))
        due = {target: target.arrived + messages for _, target in both}
        async with asyncio.TaskGroup() as group:
            for sender, target in both:
                route = Route(f"a@{sender.domain}", f"b@{target.domain}")
                group.create_task(sender.send_numbered([route], messages, 0))
        for target, count in due.items():
            await target.until(lambda: target.arrived == count, LONG_S)  # noqa: B023


def other(domain: str) -> str:
    return CAPULET if domain == MONTAGUE else MONTAGUE


def e2e(domain: str, **settings: Any) -> dict[str, Any]:
    lane = {"peer": RELAYS[other(domain)], "pairs": [[domain, other(domain)]]}
    return {"jid": RELAYS[domain], "express": [lane], **settings}


class Wire:
    """A port in front of a node's, whose connections a test can cut."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self.cut()
        self._server.close()

    def cut(self) -> int:
        """Reset all connections; how many there were."""
        ends, self._open = self._open, set()
        for writer in ends:
            writer.transport.abort()
        return len(ends) // 2

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(HOST, self.target)
        except ConnectionError:  # it has not begun, or has ended
            writer.transport.abort()
            return
        self._open |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while octets := await reader.read(1 << 16):
                writer.write(octets)
                await writer.drain()
        writer.close()
        self._open.discard(writer)


Join = Callable[..., Awaitable[Joined]]


@pytest.fixture
async def wires() -> AsyncIterator[dict[str, Wire]]:
    """To the s2s port of each node; they outlive the nodes, which close in order over them."""
    async with AsyncExitStack() as stack:
        yield {d: await stack.enter_async_context(Wire(free_port())) for d in RELAYS}


@pytest.fixture
async def join(
    wires: dict[str, Wire], start_node: StartNode, issuer: Authority
) -> AsyncIterator[Join]:
    async with AsyncExitStack() as stack:

        async def start(*, killed: int = 0, **settings: Any) -> Joined:
            for relay in RELAYS.values():
                issuer.issue(relay)
            record = Record(0, 0)
            nodes, ends = [], []
            for domain in RELAYS:
                place = (HOST, wires[other(domain)].port)
                running = await start_node(
                    components={domain: SECRET},
                    routes={other(domain): place, RELAYS[other(domain)]: place},
                    s2s_port=wires[domain].target,
                    settings={"e2e": e2e(domain, **settings)},
                    killed=killed if domain == MONTAGUE else 0,
                )
                nodes.append(running)
                component = attached(domain, SECRET, running.component_port, record)
                ends.append(await stack.enter_async_context(component))
            return Joined(*nodes, *ends, record, tuple(wires.values()))

        yield start


LISTENING = {"socks5": [f"{HOST}:0"]}


@pytest.mark.clause("E2E-01", "E2E-03", "E2E-06", "JXS-05")
@pytest.mark.parametrize("settings", [{}, LISTENING], ids=["in-band", "socks5"])
async def test_a_pair_travels_inside_tls_and_comes_back(
    join: Join, settings: dict[str, Any]
) -> None:
    """The lane comes up while messages are on their ordinary way, and goes while they are on it."""
    joined = await join(**settings)
    await joined.exchange(1000)
    await joined.until_express()
    await joined.exchange(2000)
    (row,) = await joined.express()
    assert row["tls"] == "TLSv1.3"
    assert bool(row["address"]) is bool(settings)
    assert row["stanzas_in"] >= 2000 <= row["stanzas_out"]
    assert faults(joined.record) == {}
    for running in (joined.here, joined.there):
        await at_rest(running)


@pytest.mark.parametrize("settings", [{}, LISTENING], ids=["in-band", "socks5"])
async def test_nothing_is_lost_when_the_path_outside_breaks(
    join: Join, settings: dict[str, Any]
) -> None:
    joined = await join(**settings)
    await joined.until_express()
    exchange = asyncio.create_task(joined.exchange(10_000))
    await joined.juliet.until(lambda: joined.juliet.arrived > 2000, LONG_S)
    assert sum(wire.cut() for wire in joined.wires) > 0
    await exchange
    await joined.until_express()
    assert faults(joined.record) == {}
    for running in (joined.here, joined.there):
        await at_rest(running)


async def test_a_lane_outlives_the_workers_and_comes_back_after_its_acceptor(join: Join) -> None:
    joined = await join(killed=4)
    await joined.until_express()
    exchange = asyncio.create_task(joined.exchange(5000))
    for worker in ("w0.1", "w1.1", "w2.1"):
        await killed(joined.here, worker)
    await exchange
    (row,) = await joined.express()
    assert row["stanzas_in"] == row["stanzas_out"] == 5000
    await killed(joined.here, row["acceptor"])
    await joined.until_express()
    (again,) = await joined.express()
    assert again["acceptor"] != row["acceptor"]
    assert faults(joined.record) == {}


@pytest.mark.parametrize("settings", [{}, LISTENING], ids=["in-band", "socks5"])
async def test_nothing_is_lost_when_the_acceptor_of_a_lane_ends_in_order(
    join: Join, settings: dict[str, Any]
) -> None:
    joined = await join(**settings)
    await joined.until_express()
    (row,) = await joined.express()
    holder = row["acceptor"]
    async with AsyncExitStack() as stack:
        while await home(joined.here) == holder:  # the kernel chooses
            await joined.romeo.close()
            again = attached(MONTAGUE, SECRET, joined.here.component_port, joined.record)
            joined = joined._replace(romeo=await stack.enter_async_context(again))
        exchange = asyncio.create_task(joined.exchange(20_000))
        await joined.juliet.until(lambda: joined.juliet.arrived > 2000, LONG_S)
        os.kill(joined.here.children()[holder], signal.SIGTERM)
        await exchange
        await replaced(joined.here, holder)
        await joined.until_express()
        await joined.exchange(500)
        assert faults(joined.record) == {}


async def home(node: Causeway) -> str:
    """The acceptor that has the component."""
    rows = [row for row in await node.streams() if row["leg"] == "component"]
    return str(rows[0]["acceptor"])


async def killed(node: Causeway, process: str) -> None:
    """SIGKILL to one process of the node; returns once another is in its place and ready."""
    os.kill(node.children()[process], signal.SIGKILL)
    await replaced(node, process)


async def replaced(node: Causeway, process: str) -> None:
    """Wait until another is in its place."""
    slot, incarnation = process.split(".")
    successor = f"{slot}.{int(incarnation) + 1}"

    async def is_back() -> bool:
        return f'"process": "{successor}", "event": "process.ready"' in node.log()

    await settled(is_back)
