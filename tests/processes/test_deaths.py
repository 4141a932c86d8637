"""kill -9: what the node does without one of its processes, and that it has it back."""

import asyncio
import os
import signal

import pytest

from bench.peers.causeway import Causeway
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import attached, faults, settled
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, at_rest
from tests.support.scripted_peer import EXTERNAL_FEATURE, Peer, message

ROMEO, JULIET = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}"
THERE, BACK = Route(JULIET, ROMEO), Route(ROMEO, JULIET)


async def killed(node: Causeway, process: str) -> None:
    """SIGKILL to one process of the node; returns once another is in its place and ready."""
    os.kill(node.children()[process], signal.SIGKILL)
    slot, incarnation = process.split(".")
    successor = f"{slot}.{int(incarnation) + 1}"

    async def is_back() -> bool:
        return f'"process": "{successor}", "event": "process.ready"' in node.log()

    await settled(is_back)


@pytest.mark.clause("RTE-05")
async def test_traffic_survives_the_death_of_every_worker(
    start_node: StartNode, capulet: Peer
) -> None:
    node = await start_node(killed=3)
    record = Record(0, 0)
    async with attached(MONTAGUE, SECRET, node.component_port, record) as romeo:
        juliet = await capulet.authenticated(node.s2s_port)
        is_over = asyncio.Event()

        async def send() -> None:
            while not is_over.is_set():
                for _ in range(10):
                    juliet.write(message(*THERE, f"n{record.send(THERE)}"))
                    romeo.write(message(*BACK, f"n{record.send(BACK)}"))
                await asyncio.sleep(0.005)

        sending = asyncio.create_task(send())
        for worker in ("w0.1", "w1.1", "w2.1"):
            before = romeo.arrived
            await killed(node, worker)
            await romeo.until(lambda: romeo.arrived > before)  # noqa: B023
        is_over.set()
        await sending
        await at_rest(node)
        await juliet.closed_in_order()
        for piece in juliet.received.split("id='n")[1:]:
            record.arrive(BACK, int(piece.partition("'")[0]))
    assert record.findings().messages > 1000
    assert faults(record) == {}


async def test_a_dead_acceptor_is_replaced_on_the_same_sockets(
    start_node: StartNode, capulet: Peer, route_to_capulet: dict[str, tuple[str, int]]
) -> None:
    node = await start_node(killed=2, routes=route_to_capulet)
    ports = (node.s2s_port, node.component_port)
    for acceptor in ("a0.1", "a1.1"):
        await killed(node, acceptor)
    # The kernel spreads connections over the sockets of both slots: some would not be answered.
    for _ in range(12):
        wire = await capulet.authenticated(ports[0])
        await wire.closed_in_order()
    async with attached(MONTAGUE, SECRET, ports[1]) as romeo:
        wire = await capulet.authenticated(ports[0])
        await wire.send(message(JULIET, ROMEO, "n0"))
        await romeo.until(lambda: romeo.arrived == 1)
        romeo.write(message(ROMEO, JULIET, "answer"))
        await wire.until("id='answer'")


async def test_the_death_of_an_acceptor_leaves_the_other_ones_streams_alone(
    start_node: StartNode, capulet: Peer, route_to_capulet: dict[str, tuple[str, int]]
) -> None:
    node = await start_node(killed=1, routes=route_to_capulet)
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        rows = await node.streams()
        home = next(row["acceptor"] for row in rows if row["leg"] == "component")
        other = next(name for name in ("a0.1", "a1.1") if name != home)
        while True:  # the kernel chooses the acceptor
            juliet = await capulet.authenticated(node.s2s_port)
            mine = [row for row in await node.streams() if row["leg"] == "s2s"]
            if any(row["acceptor"] == other for row in mine):
                break
            await juliet.closed_in_order()
        romeo.write(message(ROMEO, JULIET, "before"))
        await juliet.until("id='before'")
        await killed(node, other)
        await juliet.ended()
        romeo.write(message(ROMEO, JULIET, "after"))
        ours = await capulet.greet(EXTERNAL_FEATURE)
        await capulet.admit(ours)
        await ours.until("id='after'")
