"""Budget, silence and names of processes; starting and reaping real ones."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from router.supervisor.processes import (
    HEALTHY_AFTER_S,
    START_GRACE_S,
    Child,
    Processes,
    RestartBudget,
    describe_exit,
)


def child(**changes: float | None) -> Child:
    popen = subprocess.Popen([sys.executable, "-c", ""])
    popen.wait()
    made = Child("acceptor", 0, 3, popen, started_s=100.0, heard_s=100.0)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_fifth_early_death_within_the_window_exhausts_the_budget() -> None:
    budget = RestartBudget()
    assert [budget.spend(float(second)) for second in range(0, 25, 5)] == [False] * 4 + [True]


def test_deaths_leave_the_budget_with_the_window() -> None:
    budget = RestartBudget()
    assert not any(budget.spend(second * 7.6) for second in range(50))


def test_an_id_is_role_slot_and_incarnation() -> None:
    assert child().id == "a0.3"


@pytest.mark.parametrize(
    ("ready_s", "now_s", "young"),
    [
        (None, 1000.0, True),
        (200.0, 200.0 + HEALTHY_AFTER_S - 0.01, True),
        (200.0, 200.0 + HEALTHY_AFTER_S, False),
    ],
)
def test_dying_young(ready_s: float | None, now_s: float, young: bool) -> None:
    assert child(ready_s=ready_s).died_young(now_s) is young


def test_four_beats_missed_are_silence_and_a_start_has_more_time() -> None:
    ready = child(ready_s=99.0)
    assert not ready.is_silent(101.0)
    assert ready.is_silent(101.01)
    starting = child()
    assert not starting.is_silent(100.0 + START_GRACE_S)
    assert starting.is_silent(100.01 + START_GRACE_S)


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit code 0"), (1, "exit code 1"), (-9, "SIGKILL"), (-99, "signal 99")]
)
def test_how_a_process_ended(code: int, text: str) -> None:
    assert describe_exit(code) == text


async def test_incarnations_rise_and_each_death_is_reported_once() -> None:
    deaths: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    sleeper = (sys.executable, "-c", "import signal; signal.pause()")
    processes = Processes(
        {"acceptor": sleeper, "worker": sleeper},
        lambda dead, code: deaths.put_nowait((dead.id, code)),
    )
    for incarnation in (1, 2):
        started = processes.start("worker", 4, [], [])
        assert started.id == f"w4.{incarnation}"
        assert processes.find(started.id, started.popen.pid) is started
        assert processes.find(started.id, os.getpid()) is None
        assert os.getsid(started.popen.pid) == started.popen.pid, "Ctrl-C must not reach it"
        started.kill()
        assert await deaths.get() == (started.id, -signal.SIGKILL)
        assert processes.of("worker") == []
    assert deaths.empty()
