"""A watch on nested stages: CPU time of the whole process, each moment charged to one stage only.

Reading the clock takes time as well; what that adds to a stage is measured first and taken off.
"""

import time
from statistics import median
from typing import Final

OUTSIDE: Final = ""
_TRIALS: Final = 2_000

_clock = time.process_time_ns


class Watch:
    """CPU nanoseconds by stage. The innermost stage entered is the one that is charged."""

    def __init__(self) -> None:
        self._spent_ns: dict[str, int] = {}
        self._turns: dict[str, int] = {}
        self._stage = OUTSIDE
        self._bias_ns = _bias_ns()
        self._since_ns = _clock()

    def enter(self, stage: str) -> str:
        """Charge this stage from now on; the stage before, for `leave`."""
        before = self._stage
        self._change(stage)
        return before

    def leave(self, before: str) -> None:
        """Charge the stage before again."""
        self._change(before)

    def _change(self, stage: str) -> None:
        now_ns = _clock()
        charged = self._stage
        self._spent_ns[charged] = self._spent_ns.get(charged, 0) + now_ns - self._since_ns
        self._turns[charged] = self._turns.get(charged, 0) + 1
        self._stage = stage
        self._since_ns = _clock()

    def take_us(self) -> dict[str, float]:
        """CPU microseconds by stage since the last time, without those spent outside of any."""
        spent_us = {
            stage: max(0, spent - self._bias_ns * self._turns[stage]) / 1000
            for stage, spent in self._spent_ns.items()
            if stage != OUTSIDE
        }
        self._spent_ns.clear()
        self._turns.clear()
        return spent_us


def _bias_ns() -> float:
    """What two looks at the clock with nothing between them are apart."""
    gaps = []
    for _ in range(_TRIALS):
        since_ns = _clock()
        gaps.append(_clock() - since_ns)
    return median(gaps)
