"""What is saturated, and how the search for it ends."""

from array import array

import pytest

from bench.latency.saturation import growth, is_saturated, next_rate


def test_growth_is_the_slope_of_a_growing_queue_and_not_that_of_a_hiccup() -> None:
    due_s = array("d", (number / 1000 for number in range(3000)))
    assert growth(due_s, [0.001 + 0.1 * at for at in due_s]) == pytest.approx(0.1)
    hiccup = [0.5 if 1.0 < at < 1.3 or at > 2.7 else 0.001 for at in due_s]
    assert growth(due_s, hiccup) == 0
    assert growth(due_s[:2], [1.0, 2.0]) == 0


@pytest.mark.parametrize(
    ("achieved", "rise", "expected"),
    [(1000, 0.0, False), (951, 0.019, False), (949, 0.0, True), (1000, 0.021, True)],
)
def test_saturated_is_too_little_or_ever_later(
    achieved: float, rise: float, expected: bool
) -> None:
    assert is_saturated(1000, achieved, rise) is expected


@pytest.mark.parametrize("edge", [2_500.0, 23_000.0, 180_000.0])
def test_the_search_ends_within_a_tenth_below_the_edge(edge: float) -> None:
    held, failed, probes = 1000.0, None, 0
    while (rate := next_rate(held, failed)) is not None:
        probes += 1
        held, failed = (rate, failed) if rate <= edge else (held, rate)
    assert held <= edge < held * 1.1
    assert probes < 14
