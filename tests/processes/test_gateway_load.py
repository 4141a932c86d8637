"""A node in front of another one, under load: what it promises holds on both legs at once.

The one behind is a server like any other: it sends all that is for others to the inside listener.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest

from bench.peers.causeway import HOST, Causeway
from bench.peers.daemon import free_port
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import Component, attached, faults, settled
from tests.support.nodes import CAPULET, SECRET, VERONA, at_rest

pytestmark = pytest.mark.thorough

CHUNK = 20


class Both(NamedTuple):
    """The gateway, the server behind it with VERONA, and CAPULET's outside."""

    gateway: Causeway
    behind: Causeway
    outside: Causeway
    valentine: Component
    juliet: Component

    async def load(self, is_over: asyncio.Event) -> None:
        """Messages both ways until it is over."""
        ends = (self.valentine, self.juliet)
        while not is_over.is_set():
            for sender, target in (ends, ends[::-1]):
                route = Route(f"a@{sender.domain}", f"b@{target.domain}")
                await sender.send_numbered([route], CHUNK, 0)
            await asyncio.sleep(0.01)


StartBoth = Callable[..., Awaitable[Both]]


@pytest.fixture
async def start_both(start_node: StartNode) -> AsyncIterator[StartBoth]:
    async with AsyncExitStack() as stack:

        async def start(record: Record, **gateway: Any) -> Both:
            inside, target, outer, remote = (free_port() for _ in range(4))
            settings = {
                "listen": {"inside": [f"{HOST}:{inside}"]},
                "domains": {VERONA: {"attach": "server", "target": f"{HOST}:{target}"}},
            }
            front = await start_node(
                components={},
                routes={CAPULET: (HOST, remote)},
                s2s_port=outer,
                settings=settings,
                **gateway,
            )
            behind = await start_node(
                components={VERONA: SECRET},
                routes={"*": (HOST, inside)},
                s2s_port=target,
                limits={"component_grace_s": 20.0},
            )
            outside = await start_node(
                components={CAPULET: SECRET}, routes={VERONA: (HOST, outer)}, s2s_port=remote
            )
            ends = [
                await stack.enter_async_context(attached(name, SECRET, port, record))
                for name, port in (
                    (VERONA, behind.component_port),
                    (CAPULET, outside.component_port),
                )
            ]
            return Both(front, behind, outside, ends[0], ends[1])

        yield start


async def settled_all(both: Both) -> None:
    for node in (both.outside, both.gateway, both.behind):
        await at_rest(node)


@pytest.mark.clause("RTE-05")
async def test_nothing_is_lost_when_workers_are_killed(start_both: StartBoth) -> None:
    record = Record(0, 0)
    both = await start_both(record, killed=2)
    is_over = asyncio.Event()
    loading = asyncio.create_task(both.load(is_over))
    for worker in ("w0.1", "w1.1"):
        before = both.valentine.arrived
        await both.valentine.until(lambda: both.valentine.arrived > before + 200)  # noqa: B023
        os.kill(both.gateway.children()[worker], signal.SIGKILL)
    before = both.valentine.arrived
    await both.valentine.until(lambda: both.valentine.arrived > before + 500)
    is_over.set()
    await loading
    await settled_all(both)
    assert record.findings().messages > 1000
    assert faults(record) == {}


@pytest.mark.clause("RTE-05")
async def test_nothing_is_lost_by_a_rolling_restart(start_both: StartBoth) -> None:
    record = Record(0, 0)
    both = await start_both(record)
    is_over = asyncio.Event()
    loading = asyncio.create_task(both.load(is_over))
    await both.valentine.until(lambda: both.valentine.arrived > 200)
    before = set(both.gateway.children())
    restart = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", "restart", "--config", str(both.gateway.config_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(restart.communicate(), 90)
    assert restart.returncode == 0, output
    assert not before & set(both.gateway.children())
    is_over.set()
    await loading
    await settled_all(both)
    assert faults(record) == {}


async def test_a_server_behind_that_restarts(start_both: StartBoth) -> None:
    """What comes for it meanwhile waits; none of it is lost, and none bounces."""
    record = Record(0, 0)
    both = await start_both(record)
    route = Route(f"a@{CAPULET}", f"b@{VERONA}")
    await both.juliet.send_numbered([route], 100, 0)
    await both.valentine.until(lambda: both.valentine.arrived == 100)
    await both.valentine.close()
    assert await both.behind.stop() == 0
    await both.juliet.send_numbered([route], 500, 0)

    async def waits() -> bool:
        rows = await both.gateway.ask("/api/pairs")
        return any(row["backlog_stanzas"] == 500 for row in rows)

    await settled(waits)
    await both.behind.start()
    async with attached(VERONA, SECRET, both.behind.component_port, record) as back:
        await back.until(lambda: back.arrived == 500)
    assert faults(record) == {}
