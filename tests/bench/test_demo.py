"""The demo: what makes it fail, and the whole of it against whatever server is at hand."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from bench.demo import acts, exit_code
from bench.demo_screen import Act, Outcome
from bench.traffic import Exchange, Record, Route
from tests.support.eventually import eventually

TREE = Path(__file__).resolve().parents[2]
ROUTE = Route("romeo@montague.lit", "juliet@capulet.lit")
DEMO = (sys.executable, "-m", "router", "demo", "--messages", "50")


def outcome(arrivals: Sequence[int]) -> Outcome:
    """An act in which two messages were sent and these arrived."""
    record = Record(messages_planned=2, pings_planned=0)
    for _ in range(2):
        record.send(ROUTE)
    for number in arrivals:
        record.arrive(ROUTE, number)
    return Outcome(Act("an act", "An act", 2), Exchange(record.findings(), 0.1), (), 1)


@pytest.mark.parametrize("arrivals", [[0], [0, 0], [1, 0], [0, 1, 1], [0, 1, 2]])
def test_a_stanza_missing_twice_late_or_unexpected_in_any_act_is_a_failure(
    arrivals: list[int],
) -> None:
    good, bad = outcome([0, 1]), outcome(arrivals)
    assert exit_code([bad, good]) == exit_code([good, bad]) == 1


def test_nothing_missing_is_a_success() -> None:
    assert exit_code([outcome([0, 1])] * 3) == 0


def test_the_later_acts_are_short_and_never_longer_than_the_first() -> None:
    assert [act.amount for act in acts(1000)] == [1000, 100, 100]
    assert [act.amount for act in acts(7)] == [7, 7, 7]


def demo_environment(directory: Path, path: str = "") -> Mapping[str, str]:
    """Ours, with the demo's temporary files in `directory`; `path` replaces the search path."""
    return {**os.environ, "TMPDIR": str(directory), **({"PATH": path} if path else {})}


def play(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        DEMO, cwd=TREE, env=environment, text=True, capture_output=True, timeout=120
    )


@pytest.mark.interop
@pytest.mark.timeout(150)
def test_with_prosody_every_stanza_arrives_and_bidi_saves_a_connection() -> None:
    with tempfile.TemporaryDirectory(prefix="d-") as directory:
        done = play(demo_environment(Path(directory)))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "capulet.lit   Prosody" in done.stdout
        assert "900 stanzas: none missing, none twice, none out of order." in done.stdout
        assert "1 connection carried both directions; without bidi it took 2." in done.stdout
        assert "Dialback took 2" in done.stdout
        assert found(directory, "*") == []


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.timeout(150)
def test_without_prosody_a_second_causeway_plays_and_says_so() -> None:
    with tempfile.TemporaryDirectory(prefix="d-") as directory:
        done = play(demo_environment(Path(directory), path=directory))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "capulet.lit   a second Causeway" in done.stdout
        assert "Prosody is not installed here" in done.stdout
        assert "900 stanzas: none missing" in done.stdout
        assert "1 connection carried both directions; without bidi it took 2." in done.stdout
        assert found(directory, "*") == []


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_demo_cut_short_leaves_nothing_behind(number: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="d-") as directory:
        demo = await asyncio.create_subprocess_exec(
            *DEMO,
            cwd=TREE,
            env=demo_environment(Path(directory), path=directory),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        await eventually(lambda: len(found(directory, "cw-*/admin.sock")) == 2)
        demo.send_signal(number)
        output, _ = await demo.communicate()
        assert demo.returncode == 130, output.decode()
        assert b"interrupted" in output
        assert b"Traceback" not in output
        assert found(directory, "*") == []
        assert [command for command in commands() if directory in command] == []


def found(directory: str, pattern: str) -> list[Path]:
    return list(Path(directory).glob(pattern))


def commands() -> list[str]:
    """The command lines of all living processes."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(process.read_bytes().decode(errors="replace"))
    return lines
