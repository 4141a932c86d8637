"""SIGHUP, `causeway restart` and the supervisor's death, on a real node under load."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bench.peers.causeway import Causeway
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import attached, faults, settled
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, VERONA, at_rest, logged
from tests.support.scripted_peer import Peer, Wire, message

ROMEO, JULIET = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}"
THERE, BACK = Route(JULIET, ROMEO), Route(ROMEO, JULIET)


async def said(node: Causeway, event: str, times: int = 1) -> None:
    """Until the node has logged it so often."""

    async def look() -> bool:
        return len(list(logged(node, event))) >= times

    try:
        await settled(look)
    except TimeoutError:
        raise AssertionError(f"{event} is not in the log: {node.log()}") from None


@asynccontextmanager
async def load(
    write_there: Callable[[str], None], write_back: Callable[[str], None], record: Record
) -> AsyncIterator[None]:
    """Messages both ways, some thousands a second, while the block runs."""
    is_over = asyncio.Event()

    async def send() -> None:
        while not is_over.is_set():
            for _ in range(5):
                write_there(message(*THERE, f"n{record.send(THERE)}"))
                write_back(message(*BACK, f"n{record.send(BACK)}"))
            await asyncio.sleep(0.005)

    sending = asyncio.create_task(send())
    yield
    is_over.set()
    await sending


def take(record: Record, juliet: Wire) -> None:
    for piece in juliet.received.split("id='n")[1:]:
        record.arrive(BACK, int(piece.partition("'")[0]))


async def test_the_death_of_the_supervisor_is_not_felt_and_another_one_takes_over(
    start_node: StartNode, capulet: Peer
) -> None:
    node = await start_node()
    record = Record(0, 0)
    async with attached(MONTAGUE, SECRET, node.component_port, record) as romeo:
        juliet = await capulet.authenticated(node.s2s_port)
        async with load(juliet.write, romeo.write, record):
            before = node.children()
            os.kill(node.pid, signal.SIGKILL)
            await node.ended()
            at_death = romeo.arrived
            await romeo.until(lambda: romeo.arrived > at_death + 100)
            await node.start()
            assert node.children() == before, "nobody was started anew"
            back = romeo.arrived
            await romeo.until(lambda: romeo.arrived > back + 100)
        await at_rest(node)
        await juliet.closed_in_order()
        take(record, juliet)
    assert faults(record) == {}
    assert len(list(logged(node, "process.adopted"))) == len(before)


async def test_a_new_supervisor_replaces_who_died_with_the_old_one(
    start_node: StartNode, capulet: Peer
) -> None:
    node = await start_node()
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        juliet = await capulet.authenticated(node.s2s_port)
        children = node.children()
        rows = await node.streams()
        serving = {row["acceptor"] for row in rows}
        os.kill(node.pid, signal.SIGKILL)
        await node.ended()
        os.kill(children["w0.1"], signal.SIGKILL)
        idle = next((name for name in ("a0.1", "a1.1") if name not in serving), None)
        if idle is not None:
            os.kill(children[idle], signal.SIGKILL)
        await node.start()
        await juliet.send(message(JULIET, ROMEO, "n0"))
        await romeo.until(lambda: romeo.arrived == 1)
        names = set(node.children())
        assert "w0.2" in names, "incarnations go on where they were"
        assert names.issuperset(serving)
        if idle is not None:
            assert f"{idle[:2]}.2" in names
            for _ in range(6):  # its socket is one of those that share the port
                await (await capulet.authenticated(node.s2s_port)).closed_in_order()
        await juliet.closed_in_order()


async def test_a_live_supervisor_is_not_replaced(start_node: StartNode) -> None:
    node = await start_node()
    second = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", "run", "--config", str(node.config_path)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(second.communicate(), 20)
    assert second.returncode == 1
    assert b"is in use by the router with process id" in errors


async def command(node: Causeway, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", *words, "--config", str(node.config_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_supervisor_replaces_itself(start_node: StartNode) -> None:
    node = await start_node()
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        before = node.children()
        code, output = await command(node, "restart", "--supervisor")
        assert (code, output) == (0, "the supervisor is replaced\n")
        assert node.children() == before
        romeo.write(message(ROMEO, ROMEO, "n0"))
        await romeo.until(lambda: romeo.arrived == 1)


@pytest.mark.thorough
async def test_every_process_is_replaced_and_the_rest_goes_on(start_node: StartNode) -> None:
    """That nothing is lost by it under load, experiment 32 of the fault bench shows."""
    node = await start_node()
    before = set(node.children())
    for _ in range(2):
        code, output = await command(node, "restart", "--json")
        assert code == 0, output
        progress = json.loads(output)
        assert progress["state"] == "done"
        assert {step["how"] for step in progress["steps"]} == {"exit code 0"}
        assert max(step["seconds"] for step in progress["steps"]) < 20
    names = set(node.children())
    assert not names & before
    assert {name.partition(".")[0] for name in names} == {n.partition(".")[0] for n in before}


async def test_sigterm_to_one_acceptor_has_it_replaced(start_node: StartNode) -> None:
    node = await start_node()
    os.kill(node.children()["a0.1"], signal.SIGTERM)
    await said(node, "process.leaving")

    async def is_replaced() -> bool:
        names = set(node.children())
        return "a0.2" in names and "a0.1" not in names

    await settled(is_replaced)
    await said(node, "process.ended")
    ended = next(logged(node, "process.ended"))
    assert (ended["process"], ended["how"]) == ("a0.1", "exit code 0")


async def test_a_reload_adds_and_removes_domains_and_leaves_the_rest_alone(
    start_node: StartNode, capulet: Peer
) -> None:
    node = await start_node()
    good = node.config_path.read_text()
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        juliet = await capulet.authenticated(node.s2s_port)
        async with attached(VERONA, SECRET, node.component_port) as mercutio:
            node.config_path.write_text("[limits]\nmax_depth = 0\n")
            os.kill(node.pid, signal.SIGHUP)
            await said(node, "reload.refused")
            changed = good.replace(VERONA, TYBALT)
            changed = changed.replace('"workers" = 2', '"workers" = 3')
            node.config_path.write_text(changed)
            os.kill(node.pid, signal.SIGHUP)
            await said(node, "reload.ended")
            await mercutio.gone()
            assert b"<host-gone " in mercutio.raw
        async with attached(TYBALT, SECRET, node.component_port):
            await juliet.send(message(JULIET, ROMEO, "n0"))
            await romeo.until(lambda: romeo.arrived == 1)
        await juliet.closed_in_order()
    waits = {(entry["key"], entry["needs"]) for entry in logged(node, "reload.waits")}
    assert waits == {("processes.workers", "a stop and a start")}
    metrics = await node.metrics()
    assert metrics["causeway_config_reloads_total", ("ok",)] == 1
    assert metrics["causeway_config_reloads_total", ("refused",)] == 1
