"""What every foreign daemon needs: a port of its own, and a process that serves, then is gone.

Owns one child process and the wait until it serves; the ports are held to the end of ours. Does not
write the child's configuration. Called by the modules beside it, one for each server.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

POLL_INTERVAL_S = 0.02
LOG_TAIL_CHARACTERS = 4096
SOCKETS = Path("/proc/net/tcp")
LISTENING = "0A"
ANY_ADDRESS = "00000000"


class DaemonError(RuntimeError):
    """The daemon did not start or did not stop; the message ends with the tail of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 for a daemon that cannot be told to take port 0.

    Nobody else is given it while this process lives: a socket holds it that never listens. Whoever
    binds to it by its number with SO_REUSEADDR, as servers do, may listen; until then it refuses.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    port: int = holder.getsockname()[1]
    holder.detach()  # nothing but our end closes it
    return port


def is_listening(host: str, port: int) -> bool:
    """Whether some process listens at this IPv4 address, without a connection to it."""
    address = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    places = {f"{each}:{port:04X}" for each in (f"{address:08X}", ANY_ADDRESS)}
    rows = (line.split() for line in SOCKETS.read_text().splitlines()[1:])
    return any(state == LISTENING and local in places for _, local, _, state, *_ in rows)


class Daemon:
    """One foreign process: `async with` starts it, waits until it serves, and ends it by SIGTERM.

    It serves once it listens on every port and, where the server can say so, `ready_line` is in its
    log: it may listen before the signal handlers are in place, or another process does. Nobody
    connects to see: a server may count that, or be told to end in the middle of it.
    Its output goes to `directory`/log. `environment` is added to ours. May be started again after
    `stop`, on the same ports.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        ports: Iterable[int],
        host: str = "127.0.0.1",
        ready_line: str = "",
        start_timeout_s: float = 60,
        stop_timeout_s: float = 60,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = tuple(command)
        self.directory = directory
        self.ports = tuple(ports)
        self.host = host
        self.log_path = directory / "log"
        self.ready_line = ready_line
        self.start_timeout_s = start_timeout_s
        self.stop_timeout_s = stop_timeout_s
        self.environment = dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None
        self._log_start_bytes = 0

    @property
    def pid(self) -> int:
        """Process id of the last start; `DaemonError` when there was none."""
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended since."""
        return self._process is not None and self._process.returncode is None

    def log(self) -> str:
        """All that the daemon has written since its last start."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[self._log_start_bytes :].decode(errors="replace")

    def trouble(self) -> str | None:
        """Why the daemon runs but will never serve, or None; asked again and again as it starts."""
        return None

    async def start(self) -> None:
        """Start the process and return once it serves.

        Raises `DaemonError`, with nothing left running, when it exits, reports trouble, or does not
        serve within `start_timeout_s`.
        """
        with self.log_path.open("ab") as log:
            self._log_start_bytes = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.directory,
                env={**os.environ, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(self.start_timeout_s):
                await self._until_serving(self._process)
        except BaseException as failure:
            await self.stop()
            if isinstance(failure, TimeoutError):
                raise self._error(f"not serving after {self.start_timeout_s} s") from None
            raise

    def terminate(self) -> None:
        """SIGTERM, without waiting for what it leads to; `ended` waits."""
        self._started().terminate()

    async def ended(self) -> int:
        """Wait for the end that something else brings about; the exit code.

        Raises `DaemonError` after SIGKILL, when it took more than `stop_timeout_s`.
        """
        process = self._started()
        try:
            async with asyncio.timeout(self.stop_timeout_s):
                return await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise self._error(f"still alive {self.stop_timeout_s} s after SIGTERM") from None

    async def stop(self) -> int:
        """End the process by SIGTERM and return its exit code; one that is gone is left alone.

        Raises `DaemonError` as `ended` does.
        """
        process = self._started()
        if process.returncode is None:
            process.terminate()
        return await self.ended()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise DaemonError(f"{self.command[0]} was not started")
        return self._process

    async def _until_serving(self, process: asyncio.subprocess.Process) -> None:
        # A foreign process has no way to call us back; asking again is the only signal there is.
        while self.ready_line not in self.log() or not self._listens():
            if process.returncode is not None:
                raise self._error(f"exited with status {process.returncode} while starting")
            if problem := self.trouble():
                raise self._error(problem)
            await asyncio.sleep(POLL_INTERVAL_S)
        if problem := self.trouble():
            raise self._error(problem)

    def _listens(self) -> bool:
        return all(is_listening(self.host, port) for port in self.ports)

    def _error(self, problem: str) -> DaemonError:
        tail = self.log()[-LOG_TAIL_CHARACTERS:]
        return DaemonError(f"{self.command[0]}: {problem}\n{tail}")
