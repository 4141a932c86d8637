"""Two nodes with three domains each: nine pairs, both ways, on as few connections as possible."""

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
from tests.support.nodes import SECRET, at_rest

pytestmark = pytest.mark.thorough

OURS = ("montague.example", "chat.montague.example", "pubsub.montague.example")
THEIRS = ("capulet.example", "chat.capulet.example", "pubsub.capulet.example")
BURST = 300


class Town(NamedTuple):
    """Both nodes, with a component for each of their domains."""

    here: Causeway
    there: Causeway
    ours: list[Component]
    theirs: list[Component]

    async def connections(self) -> list[tuple[str, str]]:
        """(direction, mechanism) of each s2s stream, as our node sees them."""
        rows = [row for row in await self.here.streams() if row["leg"] == "s2s"]
        return sorted((row["direction"], row["auth"]) for row in rows)

    async def exchange(self, senders: list[Component], receivers: list[Component]) -> None:
        """A burst from each sender to all receivers, all at once; returns when all has arrived."""
        due = {each: each.arrived + BURST * len(senders) for each in receivers}
        async with asyncio.TaskGroup() as group:
            for sender in senders:
                routes = [Route(f"a@{sender.domain}", f"b@{end.domain}") for end in receivers]
                group.create_task(sender.send_numbered(routes, BURST * len(receivers), 0))
        for end, count in due.items():
            await end.until(lambda: end.arrived >= count)  # noqa: B023


StartTown = Callable[..., Awaitable[Town]]


@pytest.fixture
async def start_town(start_node: StartNode, tmp_path: Path) -> AsyncIterator[StartTown]:
    """`one_certificate`: each node has a single one, for all of its domains."""
    authority = Authority.make(tmp_path / "authority")
    stranger = Authority.make(tmp_path / "stranger")

    async with AsyncExitStack() as stack:

        async def start(
            record: Record, *, one_certificate: bool = True, trusted: bool = True, **settings: Any
        ) -> Town:
            ports = {OURS: free_port(), THEIRS: free_port()}
            nodes, ends = [], []
            for domains, remotes in ((OURS, THEIRS), (THEIRS, OURS)):
                certificates = tmp_path / domains[0]
                if one_certificate:
                    authority.issue(domains[0], into=certificates, dns=domains)
                else:
                    for domain in domains:
                        authority.issue(domain, into=certificates)
                nodes.append(
                    await start_node(
                        certificates=certificates,
                        trust_anchors=(authority if trusted else stranger).anchors,
                        components=dict.fromkeys(domains, SECRET),
                        routes=dict.fromkeys(remotes, (HOST, ports[remotes])),
                        s2s_port=ports[domains],
                        **settings,
                    )
                )
                ends.append(
                    [
                        await stack.enter_async_context(
                            attached(domain, SECRET, nodes[-1].component_port, record)
                        )
                        for domain in domains
                    ]
                )
            return Town(nodes[0], nodes[1], ends[0], ends[1])

        yield start


@pytest.mark.clause("DBK-08", "DBK-26", "DBK-27", "BIDI-16", "BIDI-21", "RTE-05")
async def test_one_certificate_one_connection_for_nine_pairs(start_town: StartTown) -> None:
    record = Record(0, 0)
    town = await start_town(record)
    await town.exchange(town.ours, town.theirs)
    await town.exchange(town.theirs, town.ours)
    assert faults(record) == {}
    assert await town.connections() == [("out", "external")]


@pytest.mark.clause("BIDI-22", "RTE-05")
async def test_all_speak_at_once(start_town: StartTown) -> None:
    record = Record(0, 0)
    town = await start_town(record)
    async with asyncio.TaskGroup() as group:
        group.create_task(town.exchange(town.ours, town.theirs))
        group.create_task(town.exchange(town.theirs, town.ours))
    assert faults(record) == {}
    for running in (town.here, town.there):
        await at_rest(running)


@pytest.mark.clause("DBK-26")
async def test_a_certificate_each_one_connection_for_each_of_our_domains(
    start_town: StartTown,
) -> None:
    """A sender's own certificate proves more than dialback on another's stream."""
    record = Record(0, 0)
    town = await start_town(record, one_certificate=False)
    await town.exchange(town.ours, town.theirs)
    await town.exchange(town.theirs, town.ours)
    assert faults(record) == {}
    assert await town.connections() == [("out", "external")] * 3


@pytest.mark.clause("DBK-26", "DBK-27", "BIDI-10", "BIDI-18")
async def test_dialback_only(start_town: StartTown) -> None:
    record = Record(0, 0)
    town = await start_town(record, trusted=False)
    await town.exchange(town.ours, town.theirs)
    await town.exchange(town.theirs, town.ours)
    assert faults(record) == {}
    found = await town.connections()
    # One; but who has a key to ask about before that one stands, waits for nobody (`joining`).
    assert found.count(("out", "dialback")) in (1, 2)
    assert len(found) <= 4  # and one from them to each of our domains, to ask about its keys
