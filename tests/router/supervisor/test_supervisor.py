"""The loop over real (fake) processes: death, silence, budget, drain, and what is told to whom."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from router.supervisor.crew import COMMANDS
from router.supervisor.processes import MISSED_BEATS
from router.supervisor.run_dir import RunDir
from router.supervisor.supervisor import Supervisor
from router.wire.control import BEAT_INTERVAL_S, Hello
from router.wire.control_link import connect
from router.wire.shard import SHARDS
from tests.router.supervisor.conftest import Node, StartNode, config_in
from tests.support.eventually import eventually

pytestmark = pytest.mark.processes


def restarts(node: Node, role: str) -> float:
    return node.supervisor.totals()["causeway_process_restarts_total"][(role,)]


async def greeting(node: Node) -> str:
    """Connect to the node's listener; the id of the acceptor that answered."""
    address = node.listeners[0].address
    reader, writer = await asyncio.open_connection(*address)
    said = await reader.read()
    writer.close()
    return said.decode()


async def test_it_is_ready_when_every_process_has_reported_in(start_node: StartNode) -> None:
    node = start_node(acceptors=2, workers=2)
    assert "acceptor 0 is not up" in node.supervisor.not_ready()
    await node.until_complete()
    shown = {p.id: p.state for p in node.supervisor.processes()}
    spare = next(name for name, state in shown.items() if state == "spare")
    assert set(shown) == {"a0.1", "a1.1", "w0.1", "w1.1", "w2.1"}
    assert spare[0] == "w"
    assert sum(p.shards for p in node.supervisor.processes()) == SHARDS
    assert await node.end() == 0


async def test_membership_reaches_everybody(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node(acceptors=2)
    await node.until_complete()

    def latest() -> dict[str, tuple[int, list[list[str]]]]:
        return {m["id"]: (m["version"], m["acceptors"]) for m in node.heard("Membership")}

    both = [[name, f"ipc://{tmp_path}/{name}.bus"] for name in ("a0.1", "a1.1")]
    told = await eventually(
        lambda: (
            (seen := latest())
            and len(seen) == 4
            and len({version for version, _ in seen.values()}) == 1
            and seen
        )
    )
    assert {tuple(map(tuple, acceptors)) for _, acceptors in told.values()} == {
        tuple(map(tuple, both))
    }
    versions = [m["version"] for m in node.heard("Membership") if m["id"] == "a0.1"]
    assert versions == sorted(set(versions)), "versions rise"


async def test_a_dead_workers_shards_go_to_the_spare(start_node: StartNode) -> None:
    node = start_node(workers=2)
    await node.until_complete()
    before = {p.id: p.shards for p in node.supervisor.processes()}
    spare = next(p.id for p in node.supervisor.processes() if p.state == "spare")
    victim = next(name for name, shards in before.items() if shards)
    bystander = next(name for name, shards in before.items() if shards and name != victim)

    os.kill(node.pid(victim), signal.SIGKILL)
    moved = await eventually(
        lambda: [m for m in node.heard("Membership") if spare in m["owners"]], limit_s=5
    )
    assert victim not in moved[0]["owners"]
    assert moved[0]["owners"].count(spare) == before[victim]
    assert moved[0]["owners"].count(bystander) == before[bystander]
    assert {
        g
        for g, o in zip(moved[0]["generations"], moved[0]["owners"], strict=True)
        if o == bystander
    } == {1}
    assert {
        g for g, o in zip(moved[0]["generations"], moved[0]["owners"], strict=True) if o == spare
    } == {2}
    assert not node.supervisor.not_ready(), "a worker's replacement leaves the node ready"

    heir = f"{victim[:2]}.2"
    await node.until_ready(heir)
    assert {p.id: p.state for p in node.supervisor.processes()}[heir] == "spare"
    totals = node.supervisor.totals()
    assert totals["causeway_shard_owner_changes_total"][()] == before[victim]
    assert restarts(node, "worker") == 1


async def test_without_any_worker_the_node_is_not_ready(start_node: StartNode) -> None:
    node = start_node()
    await node.until_complete()
    for process in node.supervisor.processes():
        if process.role == "worker":
            os.kill(process.pid, signal.SIGKILL)
    await eventually(lambda: node.supervisor.not_ready() == ("no worker is up",))
    await node.until_complete()


async def test_a_restarted_acceptor_serves_what_waited_on_its_socket(
    start_node: StartNode,
) -> None:
    node = start_node()
    await node.until_complete()
    assert await greeting(node) == "a0.1"
    os.kill(node.pid("a0.1"), signal.SIGSTOP)  # so that the connection waits in the queue
    waiting = asyncio.create_task(greeting(node))
    os.kill(node.pid("a0.1"), signal.SIGKILL)
    await eventually(lambda: "acceptor 0 is not up" in node.supervisor.not_ready())
    assert await waiting == "a0.2"
    await node.until_complete()
    assert restarts(node, "acceptor") == 1


async def test_a_stuck_process_is_killed_and_replaced(start_node: StartNode) -> None:
    node = start_node()
    await node.until_complete()
    worker = next(p for p in node.supervisor.processes() if p.state == "ready" and p.role[0] == "w")
    os.kill(worker.pid, signal.SIGSTOP)
    await eventually(
        lambda: worker.id not in {p.id for p in node.supervisor.processes()}, limit_s=10
    )
    assert node.supervisor.not_ready() == ()


async def test_a_node_that_was_frozen_as_a_whole_kills_nobody(start_node: StartNode) -> None:
    node = start_node()
    await node.until_complete()
    pids = [p.pid for p in node.supervisor.processes()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5 * MISSED_BEATS * BEAT_INTERVAL_S)  # noqa: ASYNC251 - our loop is frozen too
    loop = asyncio.get_running_loop()
    looked_s = loop.time() + 1.2 * BEAT_INTERVAL_S
    await eventually(lambda: loop.time() > looked_s)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    later_s = loop.time() + MISSED_BEATS * BEAT_INTERVAL_S
    await eventually(lambda: loop.time() > later_s)
    assert [p.pid for p in node.supervisor.processes()] == pids


async def test_processes_that_cannot_start_end_it_with_1(start_node: StartNode) -> None:
    node = start_node(worker="die")
    assert await node.ended() == 1
    assert node.supervisor.processes() == []
    assert restarts(node, "worker") < 5


async def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    run_dir = RunDir.occupy(tmp_path)
    nothing = (str(tmp_path / "nothing"),)
    supervisor = Supervisor(config, run_dir, (), {"acceptor": nothing, "worker": nothing})
    with pytest.raises(FileNotFoundError):
        await supervisor.run()
    run_dir.vacate()


async def test_stop_drains_phase_by_phase_and_workers_last(start_node: StartNode) -> None:
    node = start_node(acceptors=2)
    await node.until_complete()
    assert await node.end() == 0
    drains = [(m["phase"], m["id"][0]) for m in node.heard("Drain")]
    to_acceptors = [phase for phase, role in drains if role == "a"]
    assert to_acceptors == [phase for phase in range(6) for _ in range(2)]
    assert [phase for phase, role in drains if role == "w"] == [1, 1, 5, 5]
    assert drains.index((5, "w")) > drains.index((5, "a"))
    assert node.supervisor.processes() == []
    assert restarts(node, "acceptor") == restarts(node, "worker") == 0


async def test_draining_is_not_ready_and_accepts_nothing_of_its_own(
    start_node: StartNode,
) -> None:
    node = start_node(acceptor="deaf")
    await node.until_complete()
    address = node.listeners[0].address
    node.supervisor.stop()
    assert node.supervisor.not_ready() == ("draining",)
    await eventually(lambda: node.heard("Drain"))
    os.kill(node.pid("a0.1"), signal.SIGKILL)  # drop the last copy of the socket
    assert await node.ended() == 0
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(tuple(address))


async def test_a_second_stop_hastens(start_node: StartNode) -> None:
    node = start_node(acceptor="deaf", worker="deaf")
    await node.until_complete()
    node.supervisor.stop()
    await eventually(lambda: node.heard("Drain"))
    began_s = asyncio.get_running_loop().time()
    node.supervisor.stop()
    assert await node.ended() == 0
    assert asyncio.get_running_loop().time() - began_s < 5


async def test_stop_before_anything_is_up(start_node: StartNode) -> None:
    node = start_node(acceptor="unready")
    await eventually(node.supervisor.processes)
    assert await node.end() == 0


async def test_a_worker_that_dies_in_a_drain_is_replaced(start_node: StartNode) -> None:
    node = start_node(acceptor="deaf")
    await node.until_complete()
    node.supervisor.stop()
    await eventually(lambda: node.heard("Drain"))
    workers = [p for p in node.supervisor.processes() if p.role == "worker"]
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    await node.until_ready("w0.2", "w1.2")
    node.supervisor.stop()
    assert await node.ended() == 0


async def test_totals_of_the_dead_are_kept_and_their_gauges_not(start_node: StartNode) -> None:
    node = start_node()
    await node.until_complete()

    def total(name: str, *labels: str) -> float:
        return node.supervisor.totals()[name][labels]

    await eventually(lambda: total("causeway_stanzas_in_flight") == 3)
    os.kill(node.pid("a0.1"), signal.SIGKILL)
    await eventually(lambda: total("causeway_tcp_connections_total", "in") == 4)
    assert total("causeway_stanzas_in_flight") == 3


async def test_orders_and_questions_on_a_pair_reach_whom_they_concern(
    start_node: StartNode,
) -> None:
    node = start_node(acceptors=2)
    await node.until_complete()
    pairs = await node.supervisor.pairs()
    assert {row["acceptor"] for row in pairs} == {"w0.1", "w1.1"}
    closed = await node.supervisor.close("m", "c")
    assert {(row["acceptor"], row["asked"]) for row in closed} == {
        ("a0.1", ("close", "m", "c")),
        ("a1.1", ("close", "m", "c")),
    }


async def test_what_one_acceptor_learns_all_know_and_those_after_it(
    start_node: StartNode,
) -> None:
    node = start_node(acceptor="learn", acceptors=2)
    await node.until_complete()

    def told(process: str) -> set[str]:
        facts = [m["facts"] for m in node.heard("PeerFacts") if m["id"] == process]
        return {domain for each in facts for domain, *_ in each}

    await eventually(lambda: "a1.1" in told("a0.1") and "a0.1" in told("a1.1"))
    assert "a0.1" not in told("a0.1"), "it knows it from itself"
    for process in ("a0.1", "a1.1"):
        os.kill(node.pid(process), signal.SIGKILL)
    await eventually(lambda: {"a0.1", "a1.1"} <= told("a0.2"))
    assert not any(told(process) for process in ("w0.1", "w1.1"))


async def test_streams_are_asked_of_every_acceptor(start_node: StartNode) -> None:
    node = start_node(acceptors=2)
    await node.until_complete()
    rows = await node.supervisor.streams()
    assert sorted(str(row["acceptor"]) for row in rows) == ["a0.1", "a1.1"]


@pytest.mark.parametrize("knows_the_pid", [False, True])
async def test_a_stranger_on_the_control_socket_is_sent_away(
    start_node: StartNode, tmp_path: Path, knows_the_pid: bool
) -> None:
    node = start_node()
    await node.until_complete()
    lost = asyncio.Event()
    link = await connect(str(tmp_path / "control.sock"), lambda _: None, lost.set)
    link.send(Hello("a0.1", node.pid("a0.1") if knows_the_pid else os.getpid()))
    await eventually(lost.is_set)
    assert not node.supervisor.not_ready()


async def test_the_control_socket_is_private(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node()
    await node.until_complete()
    assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600


async def test_processes_inherit_the_sign_of_life_and_only_their_own_sockets(
    start_node: StartNode, tmp_path: Path
) -> None:
    node = start_node(acceptors=2)
    await node.until_complete()
    ours = {
        sock.fileno(): f"socket:[{os.fstat(sock.fileno()).st_ino}]"
        for listener in node.listeners
        for sock in listener.sockets
    }
    for process in node.supervisor.processes():
        held = open_files(process.pid)
        assert str(tmp_path / "alive") in held
        assert str(tmp_path / "lock") not in held, "a dead supervisor's lock is free"
        assert len(held & set(ours.values())) == (1 if process.role == "acceptor" else 0)


def open_files(pid: int) -> set[str]:
    return {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def test_role_commands_say_worker_only_where_it_is_one() -> None:
    assert " worker" not in " ".join(COMMANDS["acceptor"])
    assert " worker" in " ".join(COMMANDS["worker"])
