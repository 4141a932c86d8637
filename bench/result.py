"""Results as files: the figures with the machine, the versions and the commit they belong to."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

_LIBRARIES: Final = ("causeway", "uvloop", "pyzmq", "pyopenssl", "cryptography")


def header(name: str) -> dict[str, object]:
    """What a figure means nothing without."""
    return {
        "benchmark": name,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(),
        },
        "versions": {"python": platform.python_version()}
        | {library: version(library) for library in _LIBRARIES},
    }


def document(name: str, results: object) -> dict[str, object]:
    """The header, and the results as they were measured."""
    return {**header(name), "results": results}


def write(path: Path, whole: dict[str, object]) -> None:
    """One JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1) + "\n")


def _commit() -> str:
    tree = Path(__file__).resolve().parents[1]
    found = subprocess.run(
        ["git", "-C", str(tree), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
