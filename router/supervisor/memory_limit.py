"""The limit on memory of the control group we run in, of either version, if there is one.

Called by `causeway run` before anything is opened, and by `causeway check`.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_ROOT: Final = Path("/")
_UNLIMITED_BYTES: Final = 1 << 60
"""Version 1 writes no limit as the largest number of pages there is."""


def memory_limit_bytes(root: Path = _ROOT) -> int | None:
    """The lowest limit of our group and of those it is in; None where none is known."""
    limits = [limit for file in _files(root) if (limit := _read(file)) is not None]
    return min(limits, default=None)


def _files(root: Path) -> Iterator[Path]:
    """Where a limit may be written: our group's, and up to the top of what we see."""
    mounted = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            for top in (mounted, mounted / "unified"):
                yield from (each / "memory.max" for each in _upwards(top, group))
        elif "memory" in controllers.split(","):
            for each in _upwards(mounted / "memory", group):
                yield each / "memory.limit_in_bytes"


def _upwards(top: Path, group: str) -> Iterator[Path]:
    """The group's directory and those above. In a container only the last of them may be there."""
    path = PurePosixPath(group).relative_to("/")
    yield top / path
    yield from (top / parent for parent in path.parents)


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text().splitlines() if line.count(":") >= 2]
    except OSError:
        return []


def _read(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) < _UNLIMITED_BYTES else None
