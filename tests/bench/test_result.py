"""A figure never stands alone: the machine, the versions and the commit go with it."""

import json
import os
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from bench import result, subjects
from router.xmpp.reader import IMPLEMENTATION


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
    assert set(versions) >= {"python", "causeway", "uvloop", "openssl"}
    assert versions["reader"] == IMPLEMENTATION


def test_the_versions_of_other_servers_are_there_when_they_took_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subjects, "version", lambda name: f"{name} 1.2")
    versions = result.header("idle", ["prosody", "haproxy"])["versions"]
    assert (versions["prosody"], versions["haproxy"]) == ("prosody 1.2", "haproxy 1.2")
    assert "prosody" not in result.header("idle")["versions"]


def test_a_tree_without_history_is_an_unknown_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess[str]([], 128, "", "fatal: not a git repository")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert result.header("core")["commit"] == "unknown"


def test_a_document_is_the_header_and_the_results_as_they_were() -> None:
    rows = [{"mode": "in", "cpu_us": 1.5}]
    document = result.document("throughput", rows, settings={"rounds": 3})
    assert document["results"] is rows
    assert document["settings"] == {"rounds": 3}
    assert document["benchmark"] == "throughput"


def test_a_result_is_kept_as_one_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "results" / "new" / "core.json"
    whole = result.document("core", [{"what": "octets → runs"}])
    result.write(path, whole)
    assert json.loads(path.read_text()) == whole
    assert path.read_text().endswith("}\n")
