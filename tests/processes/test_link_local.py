"""Two nodes on one link, loopback: they find each other, and nothing else joins them."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.causeway import HOST, Causeway
from bench.peers.daemon import free_port
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import Component, attached, faults, settled
from tests.support.end_to_end import other
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, at_rest

pytestmark = pytest.mark.thorough

LONG_S = 30.0
RELAYS = {domain: f"relay{os.getpid()}.{domain}" for domain in (MONTAGUE, CAPULET)}
"""Others may be testing on the same loopback."""
LAN = f"{HOST}:0"


class Found:
    """Both nodes, with a component on each."""

    def __init__(self) -> None:
        self.nodes: list[Causeway] = []
        self.ends: list[Component] = []
        self.record = Record(0, 0)

    async def open_streams(self) -> list[dict[str, Any]]:
        rows = [row for node in self.nodes for row in await node.streams()]
        return [row for row in rows if row["leg"] == "e2e" and row["state"] == "open"]

    async def until_open(self, count: int) -> None:
        async def are_open() -> bool:
            return len(await self.open_streams()) == count

        await settled(are_open, LONG_S)

    async def exchange(self, messages: int) -> None:
        """So many messages both ways at once; returns when all have arrived."""
        due = [end.arrived + messages for end in self.ends]
        async with asyncio.TaskGroup() as group:
            for sender, target in (self.ends, self.ends[::-1]):
                route = Route(f"a@{sender.domain}", f"b@{target.domain}")
                group.create_task(sender.send_numbered([route], messages, 0))
        for end, count in zip(self.ends, due, strict=True):
            await end.until(lambda: end.arrived == count, LONG_S)  # noqa: B023


Find = Callable[..., Awaitable[Found]]


@pytest.fixture
async def find(start_node: StartNode, issuer: Authority) -> AsyncIterator[Find]:
    async with AsyncExitStack() as stack:

        async def start(*, killed: int = 0) -> Found:
            found = Found()
            for domain, relay in RELAYS.items():
                issuer.issue(relay)
                lane = {"peer": RELAYS[other(domain)], "pairs": [[domain, other(domain)]]}
                nowhere = (HOST, free_port())
                running = await start_node(
                    components={domain: SECRET},
                    routes={other(domain): nowhere, RELAYS[other(domain)]: nowhere},
                    settings={"e2e": {"jid": relay, "lan": LAN, "express": [lane]}},
                    killed=killed if domain == MONTAGUE else 0,
                )
                found.nodes.append(running)
                component = attached(domain, SECRET, running.component_port, found.record)
                found.ends.append(await stack.enter_async_context(component))
            return found

        yield start


@pytest.mark.clause("LLP-01", "LLP-02", "LLP-03", "LLP-04")
async def test_two_routers_find_each_other_and_open_a_stream(find: Find) -> None:
    """On one machine, so that both want the same name."""
    found = await find()
    await found.until_open(2)
    names = {name for node in found.nodes for name in announced(node)}
    assert len(names) == 2
    for row in await found.open_streams():
        assert row["tls"] == "TLSv1.3"
    await found.exchange(2000)
    assert faults(found.record) == {}
    for node in found.nodes:
        await at_rest(node)


async def test_who_is_taken_down_is_found_again(find: Find) -> None:
    """An acceptor that is killed says no goodbye; another of its node takes its place."""
    found = await find(killed=1)
    await found.until_open(2)
    here = found.nodes[0]
    (row,) = [row for row in await here.streams() if row["leg"] == "e2e"]
    os.kill(here.children()[row["acceptor"]], signal.SIGKILL)

    async def has_another() -> bool:
        return len(announced(here)) == 2

    await settled(has_another, LONG_S)
    await found.until_open(2)
    (again,) = [row for row in await here.streams() if row["leg"] == "e2e"]
    assert again["acceptor"] != row["acceptor"]


@pytest.mark.clause("LLP-03")
async def test_a_node_that_stops_says_goodbye(find: Find) -> None:
    found = await find()
    await found.until_open(2)
    here, there = found.nodes
    (name,) = announced(there)
    assert await there.stop() == 0

    async def is_gone() -> bool:
        return any(line["name"] == name for line in logged(here, "lan.gone"))

    await settled(is_gone)
    assert [row for row in await here.streams() if row["leg"] == "e2e"] == []


def announced(node: Causeway) -> list[str]:
    """The names that a node has had on the link."""
    return [line["name"] for line in logged(node, "lan.announced")]


def logged(node: Causeway, event: str) -> list[dict[str, Any]]:
    lines = (line for line in node.log().splitlines() if f'"event": "{event}"' in line)
    return [json.loads(line) for line in lines]
