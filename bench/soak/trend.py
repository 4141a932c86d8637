"""Whether a quantity grows: a line through samples. Called by `measure`."""

from collections.abc import Sequence
from statistics import linear_regression
from typing import Final

SETTLED_FROM: Final = 1 / 3
"""Of the run: what a process builds up once, it has by then."""


def slope(times_s: Sequence[float], values: Sequence[float]) -> float:
    """By how much the value grows per second, least squares; 0 for fewer than two moments."""
    if len(set(times_s)) < 2:
        return 0.0
    return linear_regression(times_s, values).slope


def settled(times_s: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The samples of the last two thirds of the time."""
    if not times_s:
        return [], []
    begin_s = times_s[0] + (times_s[-1] - times_s[0]) * SETTLED_FROM
    chosen = [pair for pair in zip(times_s, values, strict=True) if pair[0] >= begin_s]
    return [time_s for time_s, _ in chosen], [value for _, value in chosen]
