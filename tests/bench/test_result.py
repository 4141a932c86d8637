"""A figure never stands alone: the machine, the versions and the commit go with it."""

import json
import os
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from bench import result


def test_the_header_says_what_a_figure_means_nothing_without() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    header = result.header("core")
    assert list(header) == ["benchmark", "taken_at", "commit", "machine", "versions"]
    assert header["benchmark"] == "core"
    assert before <= datetime.fromisoformat(str(header["taken_at"])) <= datetime.now(UTC)
    machine, versions = header["machine"], header["versions"]
    assert isinstance(machine, dict)
    assert isinstance(versions, dict)
    assert machine["cores"] == len(os.sched_getaffinity(0))
    assert machine["kernel"] == os.uname().release
    assert machine["cpu"]
    assert versions["pyzmq"] == version("pyzmq")
    assert set(versions) >= {"python", "causeway", "uvloop"}


def test_a_tree_without_history_is_an_unknown_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess[str]([], 128, "", "fatal: not a git repository")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert result.header("core")["commit"] == "unknown"


def test_a_document_is_the_header_and_the_results_as_they_were() -> None:
    rows = [{"mode": "in", "cpu_us": 1.5}]
    document = result.document("throughput", rows)
    assert document["results"] is rows
    assert document["benchmark"] == "throughput"


def test_a_result_is_kept_as_one_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "results" / "new" / "core.json"
    whole = result.document("core", [{"what": "octets → runs"}])
    result.write(path, whole)
    assert json.loads(path.read_text()) == whole
    assert path.read_text().endswith("}\n")
