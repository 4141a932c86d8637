"""The role processes: started as commands, watched for their death, counted against a budget.

Knows slots, incarnations and process ids. What a death means for shards and sockets is decided in
`supervisor`, which owns the one `Processes`.
"""

import asyncio
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

from router.wire.control import BEAT_INTERVAL_S, Message
from router.wire.control_link import ControlLink

Role = Literal["acceptor", "worker"]

MISSED_BEATS: Final = 4
START_GRACE_S: Final = 5.0
HEALTHY_AFTER_S: Final = 1.0


@dataclass(slots=True, eq=False)
class Child:
    """One started process, until its death has been seen. Times are those of the event loop.

    `drained` is the last drain phase it completed; once `dismissed` its end is expected.
    """

    role: Role
    slot: int
    incarnation: int
    popen: subprocess.Popen[bytes]
    started_s: float
    heard_s: float
    ready_s: float | None = None
    link: ControlLink | None = None
    drained: int = 0
    dismissed: bool = False

    @property
    def id(self) -> str:
        """As in `control.Hello`: "a0.3"."""
        return f"{self.role[0]}{self.slot}.{self.incarnation}"

    @property
    def is_ready(self) -> bool:
        return self.ready_s is not None

    def send(self, message: Message) -> None:
        """Without effect before the process has said Hello and after its link is lost."""
        if self.link is not None:
            self.link.send(message)

    def kill(self) -> None:
        """SIGKILL; the death is reported like any other."""
        self.popen.kill()

    def died_young(self, now_s: float) -> bool:
        """Whether a death now says that the process cannot run, rather than that it was killed."""
        return self.ready_s is None or now_s - self.ready_s < HEALTHY_AFTER_S

    def is_silent(self, now_s: float) -> bool:
        """Whether its loop has to be taken for stuck."""
        bound_s = MISSED_BEATS * BEAT_INTERVAL_S if self.is_ready else START_GRACE_S
        return now_s - self.heard_s > bound_s


@dataclass(slots=True)
class RestartBudget:
    """Pure. Deaths of processes that never were healthy; those that were cost nothing."""

    limit: int = 5
    window_s: float = 30.0
    _spent_s: deque[float] = field(default_factory=deque)

    def spend(self, now_s: float) -> bool:
        """Count one; whether the budget is exhausted now."""
        self._spent_s.append(now_s)
        while now_s - self._spent_s[0] > self.window_s:
            self._spent_s.popleft()
        return len(self._spent_s) >= self.limit


class Processes:
    """All children, one per role and slot. `on_death(child, returncode)` once for each."""

    def __init__(
        self,
        commands: Mapping[Role, Sequence[str]],
        on_death: Callable[[Child, int], None],
    ) -> None:
        self._commands = commands
        self._on_death = on_death
        self._children: dict[tuple[Role, int], Child] = {}
        self._incarnations: dict[tuple[Role, int], int] = {}

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._children.values()))

    def of(self, role: Role) -> list[Child]:
        """The living of one role, by slot."""
        return sorted((c for c in self if c.role == role), key=lambda child: child.slot)

    def find(self, child_id: str, pid: int) -> Child | None:
        """The living child with this id, if that is its process id."""
        return next((c for c in self if c.id == child_id and c.popen.pid == pid), None)

    def start(
        self, role: Role, slot: int, arguments: Sequence[str], pass_fds: Collection[int]
    ) -> Child:
        """Start the next incarnation for a free slot. Raises OSError."""
        place = (role, slot)
        assert place not in self._children, place
        incarnation = self._incarnations[place] = self._incarnations.get(place, 0) + 1
        numbers = ["--slot", str(slot), "--incarnation", str(incarnation)]
        popen = subprocess.Popen(
            [*self._commands[role], *arguments, *numbers],
            stdin=subprocess.DEVNULL,
            pass_fds=tuple(pass_fds),
            start_new_session=True,  # Ctrl-C is for the supervisor alone, which then drains
        )
        now_s = asyncio.get_running_loop().time()
        child = Child(role, slot, incarnation, popen, started_s=now_s, heard_s=now_s)
        self._children[place] = child
        pidfd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(pidfd, self._reap, child, pidfd)
        return child

    def kill_all(self) -> None:
        for child in self:
            child.kill()

    def _reap(self, child: Child, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        returncode = child.popen.wait()
        del self._children[child.role, child.slot]
        self._on_death(child, returncode)


def describe_exit(returncode: int) -> str:
    """For the log: "exit code 1", "SIGKILL"."""
    if returncode >= 0:
        return f"exit code {returncode}"
    with suppress(ValueError):
        return signal.Signals(-returncode).name
    return f"signal {-returncode}"
