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
from pathlib import Path
from typing import Final, Literal

from router.wire.control import BEAT_INTERVAL_S, SPOKEN, Message
from router.wire.control_link import ControlLink

Role = Literal["acceptor", "worker"]

MISSED_BEATS: Final = 4
START_GRACE_S: Final = 5.0
"""CPU time that a start may take in silence: a machine that is busy is no fault of the process."""
START_LIMIT_S: Final = 30.0
"""Time that a start may take in silence if it uses no CPU."""
HEALTHY_AFTER_S: Final = 1.0
_USER_TIME: Final = 11
"""Its place behind the name in /proc/PID/stat; system time follows (proc(5))."""


@dataclass(slots=True, eq=False)
class Child:
    """One process, until its death has been seen. Times are those of the event loop.

    `speaks` is the newest version of the frames that it understands, as its Hello says.
    `drained` is the last drain phase it completed; it is `retiring` while another takes its place;
    once `dismissed` its end is expected; `ended` when it has been seen. `returncode` is as in
    `Processes`.
    """

    role: Role
    slot: int
    incarnation: int
    pid: int
    pidfd: int
    popen: subprocess.Popen[bytes] | None
    """None for one that an earlier supervisor started."""
    started_s: float
    heard_s: float
    ready_s: float | None = None
    link: ControlLink | None = None
    speaks: int = SPOKEN
    drained: int = -1
    retiring: bool = False
    dismissed: bool = False
    ended: bool = False
    returncode: int | None = None

    @property
    def id(self) -> str:
        """As in `control.Hello`: "a0.3"."""
        return f"{self.role[0]}{self.slot}.{self.incarnation}"

    @property
    def is_ready(self) -> bool:
        return self.ready_s is not None

    @property
    def crashed(self) -> bool:
        """Whether it ended by a fault of its own: nobody asked it to, and nobody killed it."""
        asked = (None, 0, -signal.SIGKILL, -signal.SIGTERM)
        return not self.dismissed and self.returncode not in asked

    def send(self, message: Message) -> None:
        """Without effect before the process has said Hello and after its link is lost."""
        if self.link is not None:
            self.link.send(message)

    def kill(self) -> None:
        """SIGKILL; the death is reported like any other."""
        if not self.ended:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def died_young(self, now_s: float) -> bool:
        """Whether a death now says that the process cannot run, rather than that it was killed."""
        return self.ready_s is None or now_s - self.ready_s < HEALTHY_AFTER_S

    def is_silent(self, now_s: float) -> bool:
        """Whether its loop has to be taken for stuck, or its start for hung."""
        silent_s = now_s - self.heard_s
        if self.is_ready:
            return silent_s > MISSED_BEATS * BEAT_INTERVAL_S
        if silent_s <= START_GRACE_S:
            return False
        return silent_s > START_LIMIT_S or _cpu_s(self.pid) > START_GRACE_S


def _cpu_s(pid: int) -> float:
    """What a process has used so far; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[_USER_TIME : _USER_TIME + 2])) / os.sysconf("SC_CLK_TCK")


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
    """All children. While one is replaced its slot has two; the later incarnation is its future.

    `on_death(child)` once for each. Its return code is None where nobody but its parent, which is
    gone, could have had it.
    """

    def __init__(
        self,
        commands: Mapping[Role, Sequence[str]],
        on_death: Callable[[Child], None],
    ) -> None:
        self._commands = commands
        self._on_death = on_death
        self._children: dict[str, Child] = {}

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._children.values()))

    def of(self, role: Role) -> list[Child]:
        """The living of one role, by slot, the later incarnation last."""
        living = (child for child in self if child.role == role)
        return sorted(living, key=lambda child: (child.slot, child.incarnation))

    def that_serve(self, role: Role) -> list[Child]:
        """Those of them that are ready."""
        return [child for child in self.of(role) if child.is_ready]

    def holder(self, role: Role, slot: int) -> Child | None:
        """The one that the slot is to be left to; None when somebody has to be started."""
        lasting = (c for c in self.of(role) if c.slot == slot and not (c.retiring or c.dismissed))
        return max(lasting, key=lambda child: child.incarnation, default=None)

    def find(self, child_id: str, pid: int) -> Child | None:
        """The living child with this id, if that is its process id."""
        child = self._children.get(child_id)
        return child if child is not None and child.pid == pid else None

    def start(
        self,
        role: Role,
        slot: int,
        incarnation: int,
        arguments: Sequence[str],
        pass_fds: Collection[int],
    ) -> Child:
        """Start a process. Raises OSError."""
        numbers = ["--slot", str(slot), "--incarnation", str(incarnation)]
        popen = subprocess.Popen(
            [*self._commands[role], *arguments, *numbers],
            stdin=subprocess.DEVNULL,
            pass_fds=tuple(pass_fds),
            start_new_session=True,  # Ctrl-C is for the supervisor alone, which then drains
        )
        return self._watch(role, slot, incarnation, popen.pid, popen)

    def adopt(self, child_id: str, pid: int) -> Child:
        """Take on a process that an earlier supervisor has started. Raises OSError."""
        role: Role = "acceptor" if child_id[0] == "a" else "worker"
        slot, _, incarnation = child_id[1:].partition(".")
        return self._watch(role, int(slot), int(incarnation), pid)

    def kill_all(self) -> None:
        """SIGKILL to all."""
        for child in self:
            child.kill()

    def _watch(
        self,
        role: Role,
        slot: int,
        incarnation: int,
        pid: int,
        popen: subprocess.Popen[bytes] | None = None,
    ) -> Child:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        pidfd = os.pidfd_open(pid)
        child = Child(role, slot, incarnation, pid, pidfd, popen, now_s, now_s)
        self._children[child.id] = child
        loop.add_reader(pidfd, self._reap, child)
        return child

    def _reap(self, child: Child) -> None:
        asyncio.get_running_loop().remove_reader(child.pidfd)
        os.close(child.pidfd)
        child.returncode = _exit_status(child)
        child.ended = True
        del self._children[child.id]
        self._on_death(child)


def _exit_status(child: Child) -> int | None:
    if child.popen is not None:
        return child.popen.wait()
    try:  # a supervisor that replaced its own program is the parent still
        return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    except ChildProcessError:
        return None


def describe_exit(returncode: int | None) -> str:
    """For the log: "exit code 1", "SIGKILL"."""
    if returncode is None:
        return "unknown"
    if returncode >= 0:
        return f"exit code {returncode}"
    with suppress(ValueError):
        return signal.Signals(-returncode).name
    return f"signal {-returncode}"
