"""A whole node over fake role processes: signals, HTTP and what is left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.cli.admin import NotRunning, get, get_json
from router.cli.node import CannotStart, run_node
from router.config_file import load, make_run_dir
from tests.support.eventually import eventually

pytestmark = pytest.mark.processes
ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys
from router.supervisor import crew
fake, journal = sys.argv[1:3]
for role in crew.COMMANDS:
    crew.COMMANDS[role] = (sys.executable, fake, role, "serve", journal)
sys.argv[1:3] = []
from router.cli.app import main
main()
"""


@pytest.fixture
def node(good_config: Path) -> Iterator["subprocess.Popen[str]"]:
    fake = ROOT / "tests" / "support" / "fake_role.py"
    journal = good_config.parent / "journal"
    arguments = [str(fake), str(journal), "run", "--config", str(good_config)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def ready(run_dir: Path) -> Callable[[], bool]:
    def look() -> bool:
        try:
            return get(run_dir, "/ready")[0] == 200
        except NotRunning:
            return False

    return look


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_it(
    good_config: Path, node: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    run_dir = good_config.parent / "run"
    await eventually(ready(run_dir))
    assert set(get_json(run_dir, "/api/listeners")) == {"s2s", "components", "http"}
    (stream,) = get_json(run_dir, "/api/streams")
    assert (stream["acceptor"], stream["asked"]) == ("a0.1", ["streams"])

    node.send_signal(number)
    _, said = node.communicate(timeout=30)
    assert node.returncode == 0, said
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert events[-1] == "drain.ended"
    assert sorted(path.name for path in run_dir.iterdir()) == ["alive", "lease", "lock"]


def test_it_does_not_start_where_its_limits_allow_more_memory_than_there_is(
    good_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.cli.node.memory_limit_bytes", lambda: 300 << 20)
    config = load(good_config, {})
    make_run_dir(config.processes.run_dir)
    with pytest.raises(CannotStart, match=r"80% of the 300 MiB .* lower .*limits\.connections"):
        run_node(config, lambda: ())
    run_dir = config.processes.run_dir
    assert not (run_dir / "control.sock").exists()
