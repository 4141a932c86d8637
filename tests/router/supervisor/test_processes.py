"""Budget, silence and names of processes; starting and reaping real ones."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from router.supervisor import processes
from router.supervisor.processes import (
    HEALTHY_AFTER_S,
    START_GRACE_S,
    START_LIMIT_S,
    Child,
    Processes,
    RestartBudget,
    describe_exit,
)


def child(**changes: float | None) -> Child:
    popen = subprocess.Popen([sys.executable, "-c", ""])
    popen.wait()
    made = Child("acceptor", 0, 3, popen.pid, -1, popen, started_s=100.0, heard_s=100.0)
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
    assert not starting.is_silent(100.01 + START_GRACE_S)
    assert not starting.is_silent(100.0 + START_LIMIT_S)
    assert starting.is_silent(100.01 + START_LIMIT_S)


def test_a_start_that_computes_for_long_is_hung_and_one_that_gets_no_cpu_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Our own process stands for it: it has used far more than a moment of CPU."""
    monkeypatch.setattr(processes, "START_GRACE_S", 0.001)
    busy, gone = child(), child()
    busy.pid, gone.pid = os.getpid(), 2**22 + 1
    assert busy.is_silent(100.01)
    assert not gone.is_silent(100.01)


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit code 0"), (1, "exit code 1"), (-9, "SIGKILL"), (-99, "signal 99")]
)
def test_how_a_process_ended(code: int, text: str) -> None:
    assert describe_exit(code) == text


SLEEPER = (sys.executable, "-c", "import signal; signal.pause()")


async def test_each_death_is_reported_once() -> None:
    deaths: asyncio.Queue[Child] = asyncio.Queue()
    processes = Processes({"acceptor": SLEEPER, "worker": SLEEPER}, deaths.put_nowait)
    for incarnation in (1, 2):
        started = processes.start("worker", 4, incarnation, [], [])
        assert started.id == f"w4.{incarnation}"
        assert processes.find(started.id, started.pid) is started
        assert processes.find(started.id, os.getpid()) is None
        assert os.getsid(started.pid) == started.pid, "Ctrl-C must not reach it"
        started.kill()
        assert await deaths.get() is started
        assert started.ended
        assert started.returncode == -signal.SIGKILL
        assert processes.of("worker") == []
    assert deaths.empty()


async def test_a_slot_may_have_two_and_is_left_to_the_later() -> None:
    deaths: asyncio.Queue[Child] = asyncio.Queue()
    processes = Processes({"acceptor": SLEEPER, "worker": SLEEPER}, deaths.put_nowait)
    old, new = (processes.start("acceptor", 0, number, [], []) for number in (1, 2))
    assert processes.of("acceptor") == [old, new]
    assert processes.holder("acceptor", 0) is new
    assert processes.holder("acceptor", 1) is None
    new.retiring = True
    assert processes.holder("acceptor", 0) is old
    processes.kill_all()
    assert {(await deaths.get()).id, (await deaths.get()).id} == {"a0.1", "a0.2"}


async def test_a_process_of_another_parent_is_watched_too() -> None:
    asks = "import subprocess as s, sys; print(s.Popen(sys.argv[1:], stdout=s.DEVNULL).pid)"
    started = subprocess.run(  # noqa: ASYNC221 - nothing else is to happen meanwhile
        [sys.executable, "-c", asks, *SLEEPER], stdout=subprocess.PIPE, text=True, check=True
    )
    deaths: asyncio.Queue[Child] = asyncio.Queue()
    processes = Processes({}, deaths.put_nowait)
    adopted = processes.adopt("w3.7", int(started.stdout))
    assert (adopted.role, adopted.slot, adopted.incarnation) == ("worker", 3, 7)
    adopted.kill()
    assert await deaths.get() is adopted
    assert adopted.returncode is None
    assert describe_exit(None) == "unknown"
    assert not adopted.crashed


@pytest.mark.parametrize(
    ("returncode", "dismissed", "crashed"),
    [
        (1, False, True),
        (-signal.SIGSEGV, False, True),
        (1, True, False),
        (0, False, False),
        (-signal.SIGKILL, False, False),
        (-signal.SIGTERM, False, False),
    ],
)
def test_a_crash_is_an_end_that_nobody_wanted(
    returncode: int, dismissed: bool, crashed: bool
) -> None:
    assert child(returncode=returncode, dismissed=dismissed).crashed is crashed
