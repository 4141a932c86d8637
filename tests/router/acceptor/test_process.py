"""An acceptor's life as a process: what it tells its supervisor, what it obeys, how it ends."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import zmq

from bench.authority import Authority
from router.acceptor import process as module
from router.acceptor.process import Process
from router.config import (
    Address,
    Config,
    Dialback,
    Dns,
    Domain,
    Limits,
    Processes,
    Tls,
    write_snapshot,
)
from router.peer_memory import Fact
from router.wire.bus import DealerSocket
from router.wire.codec import encode
from router.wire.control import (
    Answer,
    Ask,
    Beat,
    Drain,
    Drained,
    Hello,
    Leaving,
    Membership,
    Message,
    PeerFacts,
    Ready,
    Reload,
    Reloaded,
)
from router.wire.control_link import ControlLink
from router.wire.endpoints import bus_endpoint
from router.wire.frames import Announced, Joined
from router.wire.shard import SHARDS
from tests.support.acceptors import HOST, Changing, Worker
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, SECRET
from tests.support.scripted_peer import END, Wire, header

OWN = "a0.7"
M = TypeVar("M", bound=Message)


class Supervisor(Changing):
    """Says to one role process what a test tells it to."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self.path = str(run_dir / "control.sock")
        self.heard: list[Message] = []
        self.is_alone = False
        self.link: ControlLink | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._connected, self.path)

    def _connected(self) -> ControlLink:
        self.link = ControlLink(self._received, self._lost)
        return self.link

    def _received(self, message: Message) -> None:
        self.heard.append(message)
        self.changed()

    def _lost(self) -> None:
        self.is_alone = True
        self.changed()

    def send(self, message: Message) -> None:
        assert self.link is not None
        self.link.send(message)

    async def hears(self, kind: type[M]) -> M:
        """The oldest message of this kind, which is then forgotten."""
        await self.until(lambda: any(isinstance(each, kind) for each in self.heard))
        found = next(each for each in self.heard if isinstance(each, kind))
        self.heard.remove(found)
        return found

    async def close(self) -> None:
        if self.link is not None:
            self.link.close()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def supervisor(directory: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(directory)
    await supervisor.start()
    yield supervisor
    await supervisor.close()


@pytest.fixture
def config(directory: Path, issuer: Authority) -> Config:
    return Config(
        processes=Processes(acceptors=1, workers=1, run_dir=directory),
        tls=Tls(certificates=issuer.directory, trust_anchors=str(issuer.anchors)),
        dialback=Dialback(secret="of the house of Montague"),
        dns=Dns(resolvers=(Address(HOST, 9),)),
        limits=Limits(close_timeout_s=0.1),
        domains={MONTAGUE: Domain("component", secret=SECRET)},
    )


class Running:
    """A process in the test's own loop, that listens on `port`."""

    def __init__(self, config: Config, supervisor: Supervisor, snapshot: Path = Path()) -> None:
        listening = bound()
        self.port: int = listening.getsockname()[1]
        self.process = Process(asyncio.get_running_loop(), config, OWN, snapshot)
        self.life = asyncio.create_task(self.process.run(supervisor.path, {"s2s": [listening]}))

    async def greeted(self) -> Wire:
        """A peer that has got as far as the features."""
        wire = Wire(*await asyncio.open_connection(HOST, self.port))
        await wire.send(header(CAPULET, MONTAGUE))
        await wire.until("</stream:features>")
        return wire


def bound() -> socket.socket:
    listening = socket.socket()
    listening.bind((HOST, 0))
    listening.listen()  # as the supervisor's sockets do
    return listening


@pytest.fixture
async def running(config: Config, supervisor: Supervisor) -> AsyncIterator[Running]:
    running = Running(config, supervisor)
    await supervisor.hears(Ready)
    yield running
    if not running.life.done():
        supervisor.send(Drain(5))
    await asyncio.wait_for(running.life, 10)


@pytest.fixture(autouse=True)
def no_workers_are_waited_for(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits_s = {"is_told": 1e9, "in_time": 0.05}
    limit_s = limits_s.get(
        getattr(request.node, "callspec", None) and request.node.callspec.id, 0.0
    )
    monkeypatch.setattr("router.acceptor.process._SETTLE_LIMIT_S", limit_s)


@pytest.mark.parametrize("is_told", [True, False], ids=["is_told", "in_time"])
async def test_nobody_is_let_in_before_it_settles_with_the_workers(
    running: Running, supervisor: Supervisor, directory: Path, is_told: bool
) -> None:
    endpoint = bus_endpoint(directory, OWN)
    with zmq.Context() as context:
        worker = Worker(context, endpoint, "w0.1")
        greeting = asyncio.create_task(running.greeted())
        if is_told:
            supervisor.send(Membership(1, ((OWN, endpoint),), ("w0.1",) * SHARDS, (1,) * SHARDS))
            worker.send(Joined(1))
            await worker.hears(Announced)
        await (await greeting).close()
        worker.close()


async def test_it_says_who_it_is_and_is_ready_once_it_listens(
    config: Config, supervisor: Supervisor
) -> None:
    running = Running(config, supervisor)
    assert await supervisor.hears(Hello) == Hello(OWN, os.getpid(), config.digest())
    await supervisor.hears(Ready)
    await (await running.greeted()).close()
    beat = await supervisor.hears(Beat)
    assert {name for name, _, _ in beat.counters} >= {
        "causeway_stanzas_in_flight",
        "causeway_s2s_streams",
    }
    supervisor.send(Drain(5))
    await running.life


async def test_membership_reaches_the_bus(running: Running, supervisor: Supervisor) -> None:
    news = asyncio.Event()
    with zmq.Context() as context:
        endpoint = bus_endpoint(Path(supervisor.path).parent, OWN)
        worker = DealerSocket(
            asyncio.get_running_loop(),
            context,
            endpoint,
            "w0.1",
            lambda parts: news.set() if parts == encode(Announced(1)) else None,
        )
        worker.send(encode(Joined(1)))
        supervisor.send(Membership(1, ((OWN, endpoint),), ("w0.1",) * SHARDS, (1,) * SHARDS))
        await asyncio.wait_for(news.wait(), 10)
        worker.close()


async def test_questions_are_answered(running: Running, supervisor: Supervisor) -> None:
    wire = await running.greeted()
    supervisor.send(Ask(5, "streams"))
    answer = await supervisor.hears(Answer)
    assert (answer.request, answer.more) == (5, False)
    (row,) = answer.rows
    assert (row["acceptor"], row["remote"], row["auth"]) == (OWN, CAPULET, "none")
    supervisor.send(Ask(6, "pairs"))
    assert await supervisor.hears(Answer) == Answer(6, ())
    await wire.close()


async def test_what_others_learned_of_peers_is_believed(
    running: Running, supervisor: Supervisor
) -> None:
    supervisor.send(PeerFacts(((CAPULET, "proof", "external", time.time()),)))
    memory = running.process._acceptor.memory
    await eventually(lambda: memory.recall(CAPULET, Fact.PROOF) == "external")
    assert not any(isinstance(each, PeerFacts) for each in supervisor.heard)


async def test_what_it_learns_it_tells_a_turn_of_the_loop_at_a_time(
    running: Running, supervisor: Supervisor
) -> None:
    memory = running.process._acceptor.memory
    memory.learn(CAPULET, Fact.BIDI, "works")
    memory.learn(CAPULET, Fact.BIDI, "kills")
    memory.learn("tybalt.example", Fact.ERRORS, "no")
    told = await supervisor.hears(PeerFacts)
    assert [fact[:3] for fact in told.facts] == [
        (CAPULET, "bidi", "kills"),
        ("tybalt.example", "errors", "no"),
    ]


async def test_it_drains_phase_by_phase_and_ends_after_a_last_beat(
    running: Running, supervisor: Supervisor
) -> None:
    wire = await running.greeted()
    supervisor.send(Drain(0))
    assert await supervisor.hears(Drained) == Drained(0)
    supervisor.send(Drain(1))
    await wire.until(END)
    await wire.send(END)
    assert await supervisor.hears(Drained) == Drained(1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, running.port)
    for phase in (2, 3, 4):
        supervisor.send(Drain(phase))
        assert await supervisor.hears(Drained) == Drained(phase)
    assert not running.life.done()
    supervisor.heard.clear()
    supervisor.send(Drain(5))
    await running.life
    await supervisor.until(lambda: supervisor.is_alone)
    assert isinstance(supervisor.heard[-1], Beat)
    closed = {
        labels: value
        for name, labels, value in supervisor.heard[-1].counters
        if name == "causeway_s2s_closed_total"
    }
    assert closed == {("in", "none"): 1}
    await wire.close()


async def test_without_its_supervisor_it_serves_on_then_closes_in_order(
    config: Config, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ORPHAN_GRACE_S", 0.1)
    running = Running(config, supervisor)
    await supervisor.hears(Ready)
    await supervisor.close()
    wire = await running.greeted()
    assert "stream:error" not in await wire.until(END)
    await wire.close()
    await asyncio.wait_for(running.life, 10)


async def test_another_supervisor_gets_its_listening_sockets_and_what_it_learned(
    running: Running, config: Config, supervisor: Supervisor
) -> None:
    await supervisor.hears(Hello)
    running.process._acceptor.memory.learn(CAPULET, Fact.BIDI, "works")
    await supervisor.hears(PeerFacts)
    assert supervisor.link is not None
    supervisor.link.close()
    assert await supervisor.hears(Hello) == Hello(OWN, os.getpid(), config.digest(), ("s2s",))
    await supervisor.hears(Ready)
    (fact,) = (await supervisor.hears(PeerFacts)).facts
    assert fact[:3] == (CAPULET, "bidi", "works")
    await supervisor.hears(Beat)
    await (await running.greeted()).close()


async def test_a_new_snapshot_is_gone_by(
    config: Config, supervisor: Supervisor, directory: Path
) -> None:
    running = Running(config, supervisor, directory / "config.json")
    await supervisor.hears(Ready)
    theirs = await running.greeted()
    write_snapshot(replace(config, domains={}), directory / "config.json")
    supervisor.send(Reload(3))
    assert await supervisor.hears(Reloaded) == Reloaded(3, ())
    assert "<host-gone " in await theirs.until(END)
    (directory / "config.json").write_text("{")
    supervisor.send(Reload(4))
    answer = await supervisor.hears(Reloaded)
    assert (answer.number, len(answer.problems)) == (4, 1)
    await theirs.close()
    supervisor.send(Drain(5))
    await running.life


@pytest.mark.processes
async def test_as_a_command_it_takes_sockets_ignores_sigint_and_drains_on_sigterm(
    config: Config, supervisor: Supervisor, directory: Path
) -> None:
    snapshot = directory / "config.json"
    write_snapshot(config, snapshot)
    listening = bound()
    os.set_inheritable(listening.fileno(), True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "router.acceptor", "--config", str(snapshot), "--control", supervisor.path),
        *("--slot", "3", "--incarnation", "9", "--listen", f"s2s:{listening.fileno()}"),
        pass_fds=[listening.fileno()],
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        assert await supervisor.hears(Hello) == Hello("a3.9", process.pid, config.digest())
        await supervisor.hears(Ready)
        wire = Wire(*await asyncio.open_connection(HOST, listening.getsockname()[1]))
        process.send_signal(signal.SIGINT)
        await wire.send(header(CAPULET, MONTAGUE))
        await wire.until("</stream:features>")
        process.send_signal(signal.SIGTERM)
        assert await supervisor.hears(Leaving) == Leaving(), "who may start another one first"
        process.send_signal(signal.SIGTERM)
        await wire.until(END)
        await wire.send(END)
        assert [await supervisor.hears(Drained) for _ in range(5)] == [
            Drained(0),
            Drained(1),
            Drained(2),
            Drained(3),
            Drained(4),
        ]
        _, errors = await asyncio.wait_for(process.communicate(), 10)
        assert process.returncode == 0
        assert b"Traceback" not in errors
        await wire.close()
    finally:
        listening.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
