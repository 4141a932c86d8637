"""Results as files: the figures with the machine, the versions and the commit they belong to."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench import subjects
from bench.report.model import Document
from router.supervisor.build import build_labels
from router.xmpp.reader import IMPLEMENTATION

_LIBRARIES: Final = ("causeway", "uvloop", "pyzmq", "pyopenssl", "cryptography")


def header(name: str, peers: Iterable[str] = ()) -> Document:
    """What a figure means nothing without; `peers` are the other servers that took part."""
    return {
        "benchmark": name,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(),
        },
        "versions": {
            "python": platform.python_version(),
            "openssl": build_labels()[2].split()[1],
            "reader": IMPLEMENTATION,
            **{library: version(library) for library in _LIBRARIES},
            **{peer: subjects.version(peer) for peer in peers},
        },
    }


def document(
    name: str,
    results: object,
    *,
    settings: Mapping[str, object] | None = None,
    peers: Iterable[str] = (),
) -> Document:
    """The header, what was asked for, and the results as they were measured."""
    return {**header(name, peers), "settings": dict(settings or {}), "results": results}


def write(path: Path, whole: Mapping[str, object]) -> None:
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
