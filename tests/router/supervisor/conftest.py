"""A supervisor over fake role processes, in the test's own event loop."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router.config import Address, Config, Listen, Processes
from router.supervisor.listeners import Listener, close_listeners, open_listeners
from router.supervisor.run_dir import RunDir
from router.supervisor.supervisor import Supervisor
from tests.support.eventually import eventually

FAKE_ROLE = Path(__file__).parents[2] / "support" / "fake_role.py"
ANY_PORT = Address("127.0.0.1", 0)


@dataclass
class Node:
    """A running supervisor and what its processes wrote down."""

    supervisor: Supervisor
    listeners: tuple[Listener, ...]
    journal: Path
    task: "asyncio.Task[int]"

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """Messages of one kind that the role processes received, oldest first."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [line for line in map(json.loads, lines) if line["kind"] == kind]

    def pid(self, process: str) -> int:
        return next(p.pid for p in self.supervisor.processes() if p.id == process)

    def ready(self) -> set[str]:
        return {p.id for p in self.supervisor.processes() if p.state != "starting"}

    async def until_ready(self, *processes: str) -> None:
        await eventually(lambda: self.ready() >= set(processes))

    async def until_complete(self) -> None:
        await eventually(lambda: not self.supervisor.not_ready())

    async def end(self) -> int:
        self.supervisor.stop()
        return await self.ended()

    async def ended(self) -> int:
        """The exit code, which comes within the bound of a drain."""
        async with asyncio.timeout(20):
            return await self.task


StartNode = Callable[..., Node]


def config_in(run_dir: Path, acceptors: int = 1, workers: int = 1) -> Config:
    return Config(
        listen=Listen(s2s=(ANY_PORT,), s2s_direct_tls=(), components=(), http=ANY_PORT),
        processes=Processes(acceptors=acceptors, workers=workers, run_dir=run_dir),
    )


@pytest.fixture
async def start_node(tmp_path: Path) -> AsyncIterator[StartNode]:
    """Start a supervisor: `start(acceptor="deaf", workers=2)`; all that is left ends at the end."""
    nodes: list[tuple[Node, RunDir]] = []
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))

    def start(
        acceptor: str = "serve", worker: str = "serve", acceptors: int = 1, workers: int = 1
    ) -> Node:
        config = config_in(tmp_path, acceptors, workers)
        run_dir = RunDir.occupy(tmp_path)
        listeners = open_listeners(config)
        run_dir.publish(config)
        journal = tmp_path / "journal"
        python = (sys.executable, str(FAKE_ROLE))
        commands = {
            "acceptor": (*python, "acceptor", acceptor, str(journal)),
            "worker": (*python, "worker", worker, str(journal)),
        }
        supervisor = Supervisor(config, run_dir, listeners, commands)
        task = asyncio.create_task(supervisor.run())
        nodes.append((Node(supervisor, listeners, journal, task), run_dir))
        return nodes[-1][0]

    yield start
    for node, run_dir in nodes:
        node.supervisor.stop()
        node.supervisor.stop()
        await asyncio.wait([node.task])
        close_listeners(node.listeners)
        run_dir.vacate()
    assert faults == [], "an exception in a callback"
