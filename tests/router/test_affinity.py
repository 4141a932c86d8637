"""A pinned process runs on one CPU, and what it starts does, too."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from router import affinity


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, allowed)


def test_slots_take_the_cpus_in_turn() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    found = []
    for slot in range(len(allowed) + 1):
        os.sched_setaffinity(0, allowed)
        found.append(affinity.pin(slot))
        assert os.sched_getaffinity(0) == {found[-1]}
    assert found == [*allowed, allowed[0]]


def test_a_cpu_that_is_not_allowed_is_never_taken() -> None:
    last = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {last})
    assert affinity.pin(7) == last


def test_it_is_inherited() -> None:
    cpu = affinity.pin(0)
    program = "import os; print(*os.sched_getaffinity(0))"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(cpu)]
