"""The run directory of one running router: its locks, its sockets' paths, the config snapshot.

Whether the directory is fit for use is checked by `router.config_file.make_run_dir`, before this.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from router.config import Config, write_snapshot
from router.wire.endpoints import BUS_SUFFIX, CONTROL_SOCKET


class RunDirInUse(Exception):
    """Another router runs in this directory."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """A run directory that is ours, for as long as we live.

    `has_orphans`: processes of an earlier supervisor live here still, and are to be adopted.
    """

    path: Path
    lock: int
    """A file descriptor that nobody inherits: it keeps a second supervisor out."""
    alive: int
    """A file descriptor. Role processes inherit it: whether it is locked tells that there are any.
    """
    has_orphans: bool

    @property
    def control_socket(self) -> Path:
        return self.path / CONTROL_SOCKET

    @property
    def admin_socket(self) -> Path:
        return admin_socket(self.path)

    @property
    def snapshot(self) -> Path:
        return self.path / "config.json"

    @property
    def lease(self) -> Path:
        """Stays when the router ends: its numbers never go back."""
        return self.path / "lease"

    @classmethod
    def occupy(cls, path: Path) -> Self:
        """Lock the directory. Raises RunDirInUse, or OSError."""
        lock = _open(path / "lock")
        alive = _open(path / "alive")
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(lock, 20, 0).decode(errors="replace").strip()
                raise RunDirInUse(f"{path} is in use by the router with process id {pid}") from None
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            has_orphans = not _locks(alive)
            fcntl.flock(alive, fcntl.LOCK_SH)
        except BaseException:
            os.close(lock)
            os.close(alive)
            raise
        return cls(path, lock, alive, has_orphans)

    def publish(self, config: Config) -> None:
        """Leave the effective configuration for the processes, mode 0600. Raises OSError."""
        write_snapshot(config, self.snapshot)

    def leave(self) -> None:
        """Unlock and remove nothing: the processes live on, for the next supervisor."""
        os.close(self.lock)
        os.close(self.alive)

    def vacate(self) -> None:
        """Remove what must not stay behind, secrets above all, and unlock."""
        sockets = self.path.glob(f"*{BUS_SUFFIX}")  # a killed acceptor leaves its own behind
        for path in (self.snapshot, self.control_socket, self.admin_socket, *sockets):
            with suppress(FileNotFoundError):
                path.unlink()
        self.leave()


def admin_socket(run_dir: Path) -> Path:
    """Where the router that runs in `run_dir` serves its operator."""
    return run_dir / "admin.sock"


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locks(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
