"""The run directory of one running router: its lock, its sockets' paths, the config snapshot.

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
    """Another router, or what is left of one, runs in this directory."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """A run directory that is ours until every process that inherited `lock` has ended."""

    path: Path
    lock: int
    """A file descriptor. Role processes inherit it: what they serve keeps a second router out."""

    @property
    def control_socket(self) -> Path:
        return self.path / CONTROL_SOCKET

    @property
    def admin_socket(self) -> Path:
        return admin_socket(self.path)

    @property
    def snapshot(self) -> Path:
        return self.path / "config.json"

    @classmethod
    def occupy(cls, config: Config) -> Self:
        """Lock the directory and leave the effective configuration in it, mode 0600.

        Raises RunDirInUse, or OSError.
        """
        path = config.processes.run_dir
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(lock, 20, 0).decode(errors="replace").strip()
                raise RunDirInUse(
                    f"{path} is in use by the router with process id {pid}, or by processes that "
                    "outlived it; those end by themselves within about a minute"
                ) from None
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            run_dir = cls(path, lock)
            write_snapshot(config, run_dir.snapshot)
        except BaseException:
            os.close(lock)
            raise
        return run_dir

    def vacate(self) -> None:
        """Remove what must not stay behind, secrets above all, and unlock."""
        sockets = self.path.glob(f"*{BUS_SUFFIX}")  # a killed acceptor leaves its own behind
        for path in (self.snapshot, self.control_socket, self.admin_socket, *sockets):
            with suppress(FileNotFoundError):
                path.unlink()
        os.close(self.lock)


def admin_socket(run_dir: Path) -> Path:
    """Where the router that runs in `run_dir` serves its operator."""
    return run_dir / "admin.sock"
