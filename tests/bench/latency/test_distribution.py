"""Quantiles and histograms."""

import random

import pytest

from bench.latency.distribution import Distribution, added, bucket, quantile, quantile_of


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.0, 1)]
)
def test_a_quantile_is_the_least_that_covers_its_share(share: float, expected: int) -> None:
    assert quantile(range(1, 101), share) == expected


def test_nothing_has_no_quantiles() -> None:
    with pytest.raises(ValueError, match="nothing"):
        quantile([], 0.5)
    with pytest.raises(ValueError, match="nothing"):
        quantile_of({}, 0.5)
    assert Distribution.of([]) == Distribution(0, {}, {})


@pytest.mark.parametrize("time_us", [1.0, 1.5, 99.0, 1e6])
def test_a_bucket_holds_its_times(time_us: float) -> None:
    number = bucket(time_us)
    assert 2 ** (number / 8) <= time_us < 2 ** ((number + 1) / 8)


def test_times_below_a_microsecond_are_in_the_first_bucket() -> None:
    assert bucket(0.2) == bucket(0.0) == 0


def test_histograms_of_rounds_add_up_to_the_quantiles_of_all() -> None:
    source = random.Random(1)
    times_us = [source.lognormvariate(6, 1) for _ in range(4000)]
    parts = (Distribution.of(times_us[:1000]), Distribution.of(times_us[1000:]))
    whole = Distribution.of(times_us)
    both = added(part.histogram for part in parts)
    assert both == dict(sorted(whole.histogram.items()))
    assert sum(both.values()) == whole.count == 4000
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        exact = whole.quantiles_us[name]
        assert exact <= quantile_of(both, share) <= exact * 1.1
