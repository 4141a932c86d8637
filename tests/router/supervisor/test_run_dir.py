"""The run directory: one router at a time, secrets in private and not left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from router.config import read_snapshot
from router.supervisor.run_dir import RunDir, RunDirInUse
from tests.router.supervisor.conftest import config_in


def test_the_snapshot_is_private_and_goes_with_the_router(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    run_dir = RunDir.occupy(tmp_path)
    run_dir.publish(config)
    assert read_snapshot(run_dir.snapshot) == config
    assert run_dir.snapshot.stat().st_mode & 0o777 == 0o600
    (tmp_path / "a0.1.bus").touch()
    run_dir.lease.touch()
    run_dir.vacate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alive", "lease", "lock"]


def test_a_second_router_is_kept_out_and_told_by_whom(tmp_path: Path) -> None:
    first = RunDir.occupy(tmp_path)
    with pytest.raises(RunDirInUse, match=rf"{tmp_path} .*process id {os.getpid()}\b"):
        RunDir.occupy(tmp_path)
    first.vacate()
    RunDir.occupy(tmp_path).vacate()


def test_processes_that_outlive_their_router_are_there_for_the_next(tmp_path: Path) -> None:
    run_dir = RunDir.occupy(tmp_path)
    assert not run_dir.has_orphans
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"], pass_fds=(run_dir.alive,)
    )
    try:
        run_dir.snapshot.touch()
        run_dir.leave()
        second = RunDir.occupy(tmp_path)
        assert second.has_orphans
        assert second.snapshot.exists(), "they go by it still"
        second.leave()
    finally:
        orphan.kill()
        orphan.wait()
    third = RunDir.occupy(tmp_path)
    assert not third.has_orphans
    third.vacate()
