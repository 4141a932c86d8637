"""What counts as saturated, and where to look for it next: rules without I/O.

Called by `course` and `measure`.
"""

import statistics
from collections.abc import Sequence
from typing import Final

LEAST_SHARE: Final = 0.95
"""Of the offered rate: who carries less is saturated."""
MOST_GROWTH: Final = 0.02
"""Seconds of latency gained per second of the run: a queue that grows."""
GENERATOR_LIMIT: Final = 0.9
"""Of a core: from here on the generator may be what is measured."""
STEP: Final = 2.0
PRECISION: Final = 1.1


def growth(due_s: Sequence[float], latency_s: Sequence[float]) -> float:
    """How fast the latency rises over the run, in seconds per second; both in schedule order.

    From the median of the first third to that of the last, so that a single hiccup counts little.
    """
    third = len(due_s) // 3
    if not third:
        return 0.0
    rise_s = statistics.median(latency_s[-third:]) - statistics.median(latency_s[:third])
    passed_s = statistics.median(due_s[-third:]) - statistics.median(due_s[:third])
    return rise_s / passed_s


def is_saturated(offered_per_s: float, achieved_per_s: float, latency_growth: float) -> bool:
    """Whether more was offered than was carried."""
    return achieved_per_s < LEAST_SHARE * offered_per_s or latency_growth > MOST_GROWTH


def next_rate(held_per_s: float, failed_per_s: float | None) -> float | None:
    """The rate to try after the highest that was carried and the lowest that was not, or None.

    Up in steps until one fails, then the geometric middle, until the two are within 10 %.
    """
    if failed_per_s is None:
        return held_per_s * STEP
    if failed_per_s <= held_per_s * PRECISION:
        return None
    return float((held_per_s * failed_per_s) ** 0.5)
