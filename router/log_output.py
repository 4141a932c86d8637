"""Standard error as a log is written to it: who does not read it must not hold a process up.

A pipe or a socket that is full takes no line; such lines are dropped, counted, and reported as soon
as there is room again. Called by `log`.
"""

import json
import os
import socket
import stat
import sys
from contextlib import suppress
from typing import Final

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Output:
    """A text file as far as structlog needs one. Its loss (a closed pipe) ends no process either.

    The descriptor that other processes share is left as it is: O_NONBLOCK would be theirs, too.
    """

    def __init__(self) -> None:
        self.dropped = 0
        """Lines, since the last one that was written."""
        self._rest = b""
        self._fd: int | None = None
        self._socket: socket.socket | None = None
        with suppress(AttributeError, OSError, ValueError):  # no descriptor
            self._open(sys.stderr.fileno())

    def _open(self, fd: int) -> None:
        kind = os.fstat(fd).st_mode
        if stat.S_ISSOCK(kind):
            self._socket = socket.socket(fileno=os.dup(fd))
        elif stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            self._fd = os.open(f"/proc/self/fd/{fd}", _FLAGS)

    def write(self, text: str) -> None:
        """Write a line, or drop it."""
        if self._fd is None and self._socket is None:
            with suppress(OSError, ValueError):
                sys.stderr.write(text)
            return
        if self._rest and not self._put(b""):
            self.dropped += 1
            return
        report = self._report() if self.dropped else b""
        if self._put(report + text.encode(errors="replace")):
            self.dropped = 0
        else:
            self.dropped += 1

    def _report(self) -> bytes:
        event = {"event": "log.dropped", "level": "warning", "lines": self.dropped}
        return json.dumps(event).encode() + b"\n"

    def _put(self, octets: bytes) -> bool:
        """Whether they are taken, in part at least: what is left of a line goes before the next."""
        octets = self._rest + octets
        try:
            sent = self._send(octets)
        except BlockingIOError:
            return False
        except OSError:
            self._rest = b""
            return True  # nobody is there any more
        self._rest = octets[sent:]
        return sent > 0

    def _send(self, octets: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(octets, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        assert self._fd is not None
        return os.write(self._fd, octets)

    def flush(self) -> None:
        """Nothing is kept here but what the other side has no room for."""
        if self._fd is None and self._socket is None:
            with suppress(OSError, ValueError):
                sys.stderr.flush()

    def close(self) -> None:
        """Give back what was opened."""
        if self._fd is not None:
            os.close(self._fd)
        if self._socket is not None:
            self._socket.close()
        self._fd = self._socket = None
