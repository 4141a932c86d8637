"""When stanzas are due: at the rate, the same each time, waiting for nobody."""

import math
from itertools import pairwise

import pytest

from bench.latency.schedule import SPACINGS, Spacing, schedule


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_schedule_has_the_rate_and_is_the_same_each_time(spacing: Spacing) -> None:
    due_s = schedule(2000, 5, spacing, seed=3)
    assert len(due_s) == pytest.approx(10_000, rel=0.05)
    assert list(due_s) == sorted(due_s)
    assert 0 <= due_s[0] < due_s[-1] < 5
    assert due_s == schedule(2000, 5, spacing, seed=3)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_schedule_is_never_empty(spacing: Spacing) -> None:
    assert len(schedule(0.001, 1, spacing, seed=1)) == 1


def test_independent_senders_are_not_evenly_spaced() -> None:
    due_s = schedule(1000, 5, "poisson", seed=1)
    gaps = [later - sooner for sooner, later in pairwise(due_s)]
    # Exponential: as many as 1 - 1/e are shorter than the mean.
    short = sum(gap < 0.001 for gap in gaps) / len(gaps)
    assert short == pytest.approx(1 - 1 / math.e, abs=0.03)
    assert due_s != schedule(1000, 5, "poisson", seed=2)
