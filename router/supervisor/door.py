"""The control socket's listening end: new links, with the sockets that came with their Hello.

A process that is to be adopted passes its listening sockets back with its first octets
(SCM_RIGHTS), which no asyncio transport takes; so they are read here, before the link begins.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.wire.control_link import ControlLink

_FIRST_BYTES: Final = 65_536
_MOST_SOCKETS: Final = 253  # the kernel's own bound, SCM_MAX_FD
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A link about to begin; `pid` by the kernel's word, `sockets` as they were passed."""

    link: ControlLink
    pid: int
    sockets: list[socket.socket]

    def close(self) -> None:
        """Nobody wants it."""
        self.link.close()
        for each in self.sockets:
            each.close()


class Door:
    """Listens at `path`, mode 0600. Raises OSError.

    `greet` gets each newcomer before any message of it, and gives its link its handlers.
    """

    def __init__(self, path: Path, greet: Callable[[Newcomer], None]) -> None:
        self._greet = greet
        self._loop = asyncio.get_running_loop()
        self._silent: set[socket.socket] = set()
        self._beginning: set[asyncio.Task[object]] = set()
        with suppress(FileNotFoundError):
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(str(path))
            path.chmod(0o600)
            self._socket.listen()
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Let nobody in any more; links stay."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for accepted in self._silent:
            self._loop.remove_reader(accepted)
            accepted.close()
        self._silent.clear()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            accepted, _ = self._socket.accept()
            accepted.setblocking(False)
            self._silent.add(accepted)
            self._loop.add_reader(accepted, self._speaks, accepted)

    def _speaks(self, accepted: socket.socket) -> None:
        self._loop.remove_reader(accepted)
        self._silent.discard(accepted)
        try:
            octets, fds, _, _ = socket.recv_fds(accepted, _FIRST_BYTES, _MOST_SOCKETS)
            credentials = accepted.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
            )
        except OSError:
            accepted.close()
            return
        pid: int = _CREDENTIALS.unpack(credentials)[0]
        link = ControlLink.with_octets(octets)
        self._greet(Newcomer(link, pid, [socket.socket(fileno=fd) for fd in fds]))
        begun = self._loop.create_task(self._loop.connect_accepted_socket(lambda: link, accepted))
        self._beginning.add(begun)
        begun.add_done_callback(self._beginning.discard)
