"""Quantities as people read them."""

import math

import pytest

from bench.report.amounts import amount, number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (0.5, "0.5"),
        (9.999, "10"),
        (12.34, "12.3"),
        (99.9999999, "100"),
        (100.0, "100"),
        (1234567.8, "1,234,568"),
        (-3.14159, "-3.14"),
        (math.inf, "-"),
        (math.nan, "-"),
    ],
)
def test_three_digits_and_no_more(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_unit_follows() -> None:
    assert [amount(1.5, unit) for unit in ("µs", "%", "x", "")] == ["1.5 µs", "1.5%", "1.5x", "1.5"]
