"""Taking on the processes of a supervisor that is gone, with their links and listening sockets.

They look for a new control socket all the time; here it is opened, and they are waited for. Called
by the node at its start, before the listeners are opened. Those that live and do not come are
stuck, and killed like any other that is silent.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router.log import logger
from router.supervisor.door import Door, Newcomer
from router.wire.control import Hello, Message
from router.wire.control_link import ControlLink

log = logger(__name__)

LIMIT_S: Final = 5.0
_STEP_S: Final = 0.02


@dataclass(slots=True, eq=False)
class Orphan:
    """A process that came back. `messages` are those it has sent after Hello."""

    pid: int
    link: ControlLink
    sockets: list[socket.socket]
    hello: Hello | None = None
    messages: list[Message] = field(default_factory=list)
    is_lost: bool = False

    def received(self, message: Message) -> None:
        """Kept for the supervisor."""
        if self.hello is not None:
            self.messages.append(message)
        elif isinstance(message, Hello) and message.pid == self.pid:
            self.hello = message
        else:
            self.link.close()
            self.lost()

    def lost(self) -> None:
        """It died after all."""
        self.is_lost = True


async def gather(control_socket: Path) -> list[Orphan]:
    """All that live, by id, each with a link that is `Orphan`'s still. Raises OSError.

    Returns after LIMIT_S at the latest.
    """
    came: list[Orphan] = []

    def greet(newcomer: Newcomer) -> None:
        orphan = Orphan(newcomer.pid, newcomer.link, newcomer.sockets)
        newcomer.link.hand_to(orphan.received, orphan.lost)
        came.append(orphan)

    def missing() -> dict[int, str]:
        here = {orphan.pid for orphan in came if orphan.hello is not None}
        return {pid: each for pid, each in living(control_socket).items() if pid not in here}

    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + LIMIT_S
    door = Door(control_socket, greet)
    try:
        while missing() and loop.time() < deadline_s:  # noqa: ASYNC110 - processes are no events
            await asyncio.sleep(_STEP_S)
    finally:
        door.close()
    for pid, name in missing().items():
        log.error("process.silent", process=name, pid=pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    present = [orphan for orphan in came if orphan.hello is not None and not orphan.is_lost]
    for orphan in came:
        if orphan not in present:
            Newcomer(orphan.link, orphan.pid, orphan.sockets).close()
    return sorted(present, key=_id)


def _id(orphan: Orphan) -> str:
    return orphan.hello.id if orphan.hello is not None else ""


def slotted(orphans: list[Orphan]) -> dict[int, list[tuple[str, socket.socket]]]:
    """Their listening sockets, for `listeners.resume_listeners`; of one slot's two, the later's."""
    found: dict[int, list[tuple[str, socket.socket]]] = {}
    ages: dict[int, int] = {}
    for orphan in orphans:
        hello = orphan.hello
        if hello is None or not hello.listening or len(hello.listening) != len(orphan.sockets):
            continue
        slot, incarnation = map(int, hello.id[1:].split("."))
        if incarnation > ages.get(slot, 0):
            ages[slot] = incarnation
            found[slot] = list(zip(hello.listening, orphan.sockets, strict=True))
    return found


def living(control_socket: Path) -> Mapping[int, str]:
    """The role processes with this control socket, by process id, by the kernel's list."""
    found = {}
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            pid = int(process.name)
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[words.index("--control") + 1] == str(control_socket):
                role = "w" if "workers" in words else "a"
                slot = words[words.index("--slot") + 1]
                incarnation = words[words.index("--incarnation") + 1]
                found[pid] = f"{role}{slot}.{incarnation}"
    return found
