"""The node seen from outside during an experiment: memory, file descriptors, its log, its books.

Called by `stage`; what it saw is judged by `verdict`.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.cost import cpu_s
from bench.peers.causeway import Causeway
from bench.peers.daemon import DaemonError
from bench.soak.measure import Books, read
from router.cli import admin

SAMPLE_S: Final = 0.5
POLL_S: Final = 0.1
BOOKS_S: Final = 10.0
BUDGET: Final = "causeway_memory_budget_bytes"
_PAGE_BYTES: Final = 4096
_ROW: Final = re.compile(
    r"<td>([aw]\d+\.\d+)</td><td>\w+</td>.*?<td>(\w+)</td><td class=\"n\">(\d+)<"
)


@dataclass(frozen=True, slots=True)
class Process:
    """One row of the status page; `state` is "starting", "ready" or "spare"."""

    id: str
    state: str
    shards: int


class Watch:
    """Samples memory while it lasts (`async with`)."""

    def __init__(self, node: Causeway) -> None:
        self.node = node
        self.rss_mib: list[tuple[float, float]] = []
        """(time.monotonic(), resident memory of all processes together)"""
        self.fds_before = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.fds_before = self.fds()
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()

    @property
    def peak_mib(self) -> float:
        """The most so far."""
        return max((mib for _, mib in self.rss_mib), default=0.0)

    def pids(self) -> list[int]:
        """Supervisor, acceptors and workers that live."""
        own = [self.node.pid] if self.node.is_running else []
        return [*own, *self.node.children().values()]

    def fds(self) -> int:
        """Open file descriptors of all processes together."""
        return sum(map(fds_of, self.pids()))

    def cpu_s(self) -> float:
        """CPU seconds that the processes that live now have used."""
        return sum(map(cpu_s, self.pids()))

    async def processes(self) -> list[Process]:
        """As the status page has them. Raises `DaemonError` when the supervisor is away."""
        try:
            _, page = await asyncio.to_thread(admin.get, self.node.run_dir, "/")
        except admin.NotRunning as error:
            raise DaemonError(str(error)) from None
        return [
            Process(name, state, int(shards)) for name, state, shards in _ROW.findall(page.decode())
        ]

    async def owners(self) -> list[str]:
        """Workers that own shards."""
        return [each.id for each in await self.processes() if each.id[0] == "w" and each.shards]

    async def all_up(self, count: int, limit_s: float = 20.0) -> bool:
        """Wait until so many processes are ready; whether they were, in time."""
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            with suppress(DaemonError):
                if sum(each.state != "starting" for each in await self.processes()) >= count:
                    return True
            await asyncio.sleep(POLL_S)
        return False

    def complaints(self, expected: Collection[str]) -> list[str]:
        """Events of level error and worse, but those expected, each once with its count."""
        found: dict[str, int] = {}
        for line in self.node.log().splitlines():
            if '"level": "error"' in line or '"level": "critical"' in line:
                with suppress(ValueError):
                    event = str(json.loads(line).get("event"))
                    found[event] = found.get(event, 0) + 1
        return [f"{event} x{n}" for event, n in found.items() if event not in expected]

    def log_count(self, event: str) -> int:
        """How often the node has logged this."""
        return self.node.log().count(f'"event": "{event}"')

    async def books(self) -> Books | None:
        """The node's counters once nothing is in flight, or as they are in the end; None: away."""
        books, until_s = None, time.monotonic() + BOOKS_S
        while time.monotonic() < until_s:
            with suppress(DaemonError):
                books = read(await self.node.metrics())
                if books.balance and not books.in_flight:
                    return books
            await asyncio.sleep(POLL_S)
        return books

    async def budget_mib(self) -> float | None:
        """What the node says that it needs at most; None while it says nothing."""
        with suppress(DaemonError):
            found = [v for (name, _), v in (await self.node.metrics()).items() if name == BUDGET]
            return sum(found) / 2**20 if found and sum(found) else None
        return None

    async def _sample(self) -> None:
        while True:
            mib = await asyncio.to_thread(self._resident_mib)
            self.rss_mib.append((time.monotonic(), mib))
            await asyncio.sleep(SAMPLE_S)

    def _resident_mib(self) -> float:
        pages = 0
        for pid in self.pids():
            with suppress(OSError, IndexError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * _PAGE_BYTES / 2**20


def fds_of(pid: int) -> int:
    """Open file descriptors of a process; 0 when it is gone."""
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


async def until(holds: Callable[[], bool], limit_s: float, poll_s: float = 0.02) -> bool:
    """Look again and again; whether it held before so many seconds were over."""
    until_s = time.monotonic() + limit_s
    while True:
        if holds():
            return True
        if time.monotonic() >= until_s:
            return False
        await asyncio.sleep(poll_s)
