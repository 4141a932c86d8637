"""Two nodes whose connection breaks again and again: by resumption it costs no stanza (SMX-09)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bench.peers.causeway import HOST
from bench.peers.daemon import free_port
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import Component, attached, faults
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, at_rest

pytestmark = pytest.mark.thorough

MESSAGES = 4000
CUTS = 5


class Cable:
    """Carries connections to a port of this machine, until they are cut."""

    def __init__(self, port: int) -> None:
        self.made = 0
        self._port = port
        self._ends: list[asyncio.StreamWriter] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection(HOST, self._port)
        self.made += 1
        self._ends += [writer, to_there]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(reader, to_there))
            group.create_task(self._carry(there, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while octets := await reader.read(4096):
                writer.write(octets)
                await writer.drain()
        except ConnectionError:
            pass
        writer.transport.abort()

    def cut(self) -> None:
        """Reset all connections at both ends; what was on its way is lost."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()


@asynccontextmanager
async def cable_to(port: int, at: int) -> AsyncIterator[Cable]:
    cable = Cable(port)
    async with await asyncio.start_server(cable.take, HOST, at):
        yield cable
        cable.cut()


async def load(sender: Component, target: Component) -> None:
    route = Route(f"a@{sender.domain}", f"b@{target.domain}")
    for _ in range(MESSAGES // 20):
        await sender.send_numbered([route], 20, 0)
        await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
@pytest.mark.clause("SMX-08", "SMX-09")
@pytest.mark.scenario(50)
@pytest.mark.parametrize("acceptors", [1, 2])
async def test_a_connection_that_breaks_under_load_loses_repeats_and_refuses_nothing(
    start_node: StartNode, acceptors: int
) -> None:
    record = Record(2 * MESSAGES, 0)
    at = free_port()
    there = await start_node(components={CAPULET: SECRET}, acceptors=acceptors)
    here = await start_node(
        components={MONTAGUE: SECRET}, routes={CAPULET: (HOST, at)}, acceptors=acceptors
    )
    async with AsyncExitStack() as stack:
        cable = await stack.enter_async_context(cable_to(there.s2s_port, at))
        romeo, juliet = [
            await stack.enter_async_context(attached(name, SECRET, node.component_port, record))
            for name, node in ((MONTAGUE, here), (CAPULET, there))
        ]
        await romeo.send_numbered([Route(f"first@{MONTAGUE}", f"b@{CAPULET}")], 1, 0)
        await juliet.until(lambda: juliet.arrived == 1)
        async with asyncio.TaskGroup() as group:
            for sender, target in ((romeo, juliet), (juliet, romeo)):
                group.create_task(load(sender, target))
            for _ in range(CUTS):
                await asyncio.sleep(0.4)
                cable.cut()
        await juliet.until(lambda: juliet.arrived > MESSAGES or bool(juliet.others))
        await romeo.until(lambda: romeo.arrived >= MESSAGES or bool(romeo.others))
        assert cable.made > CUTS
        assert faults(record) == {}, record.errors
        for node in (here, there):
            await at_rest(node)
