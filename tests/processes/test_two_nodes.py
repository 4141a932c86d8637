"""Two nodes federate: one connection carries both ways, and a second costs nothing but itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.authority import Authority
from bench.peers.causeway import HOST, Causeway
from bench.peers.daemon import free_port
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import Component, attached, faults
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, at_rest

pytestmark = pytest.mark.thorough

BURST = 1000


class Pair(NamedTuple):
    """Both nodes, with a component on each."""

    here: Causeway
    there: Causeway
    romeo: Component
    juliet: Component

    async def streams(self) -> list[tuple[str, str, bool]]:
        """(direction, mechanism, bidi) of each s2s stream, as the first node sees them."""
        rows = [row for row in await self.here.streams() if row["leg"] == "s2s"]
        return sorted((row["direction"], row["auth"], row["bidi"]) for row in rows)

    async def exchange(self, *senders: Component) -> None:
        """A burst from each of these at once; returns when all has arrived."""
        due = {self.other(sender): self.other(sender).arrived + BURST for sender in senders}
        async with asyncio.TaskGroup() as group:
            for sender in senders:
                group.create_task(sender.send_numbered([self.route(sender)], BURST, 0))
        for end, count in due.items():
            await end.until(lambda: end.arrived == count)  # noqa: B023

    def other(self, component: Component) -> Component:
        return self.juliet if component is self.romeo else self.romeo

    def route(self, sender: Component) -> Route:
        return Route(f"a@{sender.domain}", f"b@{self.other(sender).domain}")


StartPair = Callable[..., Awaitable[Pair]]


@pytest.fixture
async def start_pair(start_node: StartNode) -> AsyncIterator[StartPair]:
    async with AsyncExitStack() as stack:

        async def start(record: Record, **settings: Any) -> Pair:
            ports = {MONTAGUE: free_port(), CAPULET: free_port()}
            routes = {domain: (HOST, port) for domain, port in ports.items()}
            nodes, ends = [], []
            for domain, remote in ((MONTAGUE, CAPULET), (CAPULET, MONTAGUE)):
                nodes.append(
                    await start_node(
                        components={domain: SECRET},
                        routes={remote: routes[remote]},
                        s2s_port=ports[domain],
                        **settings,
                    )
                )
                ends.append(
                    await stack.enter_async_context(
                        attached(domain, SECRET, nodes[-1].component_port, record)
                    )
                )
            return Pair(nodes[0], nodes[1], ends[0], ends[1])

        yield start


@pytest.mark.clause("BIDI-21", "RTE-05")
async def test_one_connection_carries_both_ways(start_pair: StartPair) -> None:
    record = Record(0, 0)
    pair = await start_pair(record)
    await pair.exchange(pair.romeo)
    await pair.exchange(pair.juliet)
    await pair.exchange(pair.romeo, pair.juliet)
    assert faults(record) == {}
    assert await pair.streams() == [("out", "external", True)]


@pytest.mark.clause("BIDI-22", "RTE-05")
async def test_both_speak_first(start_pair: StartPair) -> None:
    record = Record(0, 0)
    pair = await start_pair(record)
    await pair.exchange(pair.romeo, pair.juliet)
    assert faults(record) == {}
    assert len(await pair.streams()) <= 2
    for running in (pair.here, pair.there):
        await at_rest(running)


@pytest.mark.clause("DBK-09", "DBK-12", "BIDI-10", "BIDI-18")
async def test_dialback_without_any_common_authority(start_pair: StartPair, tmp_path: Path) -> None:
    record = Record(0, 0)
    pair = await start_pair(record, trust_anchors=Authority.make(tmp_path).anchors)
    await pair.exchange(pair.romeo, pair.juliet)
    await pair.exchange(pair.romeo, pair.juliet)
    assert faults(record) == {}
    assert {mechanism for _, mechanism, _ in await pair.streams()} == {"dialback"}
    assert len(await pair.streams()) <= 2
