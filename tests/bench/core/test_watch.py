"""Each moment is charged to one stage, the innermost."""

import pytest

from bench.core import watch
from bench.core.watch import Watch


class Clock:
    """CPU nanoseconds; reading it takes 3."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += 3
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watch, "_clock", clock)
    return clock


def test_the_innermost_stage_is_charged_and_the_clock_is_not(clock: Clock) -> None:
    timed = Watch()
    outside = timed.enter("outer")
    clock.now_ns += 1000
    before = timed.enter("inner")
    clock.now_ns += 5000
    timed.leave(before)
    clock.now_ns += 200
    timed.leave(outside)
    clock.now_ns += 70_000
    assert timed.take_us() == {"outer": 1.2, "inner": 5.0}


def test_what_was_taken_is_not_there_again(clock: Clock) -> None:
    timed = Watch()
    timed.leave(timed.enter("one"))
    assert timed.take_us() == {"one": 0.0}
    assert timed.take_us() == {}
