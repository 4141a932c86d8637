"""`causeway run`: its exit codes and what it says."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router.cli.app import app
from router.cli.node import Read
from router.config import Config
from router.supervisor.run_dir import RunDir


def run(config: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["run", "--config", str(config)])
    return result.exit_code, result.output


def test_a_bad_configuration_is_2_with_every_error(good_config: Path) -> None:
    good_config.write_text("[listen]\nhttps = 1\n[limits]\nmax_depth = 0\n")
    code, output = run(good_config)
    assert code == 2
    for key in ("listen.https", "limits.max_depth", "domains"):
        assert f"{good_config}: {key}" in output


def test_an_address_in_use_is_1(good_config: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken = f"127.0.0.1:{stranger.getsockname()[1]}"
        good_config.write_text(good_config.read_text().replace("127.0.0.1:0", taken, 1))
        code, output = run(good_config)
    assert code == 1
    assert f"cannot start: cannot listen on {taken} (s2s): Address already in use" in output
    left = [path.name for path in (good_config.parent / "run").iterdir()]
    assert sorted(left) == ["alive", "lock"]


def test_a_run_dir_in_use_is_1(good_config: Path) -> None:
    path = good_config.parent / "run"
    path.mkdir(mode=0o700)
    other = RunDir.occupy(path)
    code, output = run(good_config)
    other.vacate()
    assert code == 1
    assert "is in use by the router" in output


def test_the_exit_code_is_the_nodes(good_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Config] = []

    def run_node(config: Config, read: Read) -> int:
        served.append(config)
        assert read() == config
        return 0

    monkeypatch.setattr("router.cli.node.run_node", run_node)
    assert run(good_config)[0] == 0
    assert served[0].hosted == ("montague.example",)
    assert served[0].processes.run_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.processes
def test_a_real_one_that_cannot_start_its_processes_ends_with_1(good_config: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    broken = good_config.parent / "run"
    program = (
        "import router.supervisor.crew as s, sys;"
        "s.COMMANDS['acceptor'] = s.COMMANDS['worker'] = (sys.executable, '-c', 'exit(1)');"
        "from router.cli.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "--config", str(good_config)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "processes.cannot_start" in done.stderr
    assert "s3cr3t" not in done.stderr
    assert sorted(path.name for path in broken.iterdir()) == ["alive", "lease", "lock"]
