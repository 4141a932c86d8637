"""Better, worse or noise: decided by the rounds, and only where there are enough of them."""

from itertools import combinations

import pytest

from bench.report import compare
from bench.report.compare import chance_of, judged
from bench.report.model import Figure


def figure(*samples: float, value: float | None = None, lower: bool = True) -> Figure:
    middle = sorted(samples)[len(samples) // 2] if value is None else value
    return Figure("f", middle, "µs", samples, lower)


def test_three_rounds_that_do_not_overlap_decide() -> None:
    faster = judged(figure(10, 11, 12), figure(7, 8, 9))
    assert (faster.verdict, faster.ratio) == ("better", pytest.approx(8 / 11))
    assert faster.chance == pytest.approx(0.1)
    assert judged(figure(7, 8, 9), figure(10, 11, 12)).verdict == "worse"


def test_where_more_is_better_it_is_the_other_way() -> None:
    assert judged(figure(7, 8, 9, lower=False), figure(10, 11, 12, lower=False)).verdict == "better"


def test_rounds_that_overlap_are_noise() -> None:
    assert judged(figure(10, 11, 12), figure(8, 9, 10.5)).verdict == "within noise"


def test_a_difference_nobody_would_notice_is_noise_however_sure() -> None:
    found = judged(figure(100, 100.1, 100.2, 100.3, 100.4), figure(101, 101.1, 101.2, 101.3, 101.4))
    assert found.chance is not None
    assert found.chance < 0.01
    assert found.verdict == "within noise"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (figure(1, 2, 3), figure(5, 6)),
        (figure(value=1), figure(value=2)),
        (figure(0, 0, 0), figure(1, 2, 3)),
    ],
)
def test_too_few_rounds_or_nothing_to_divide_by_decide_nothing(
    before: Figure, after: Figure
) -> None:
    found = judged(before, after)
    assert (found.verdict, found.chance) == ("too few rounds", None)


def test_the_chance_is_that_of_all_ways_to_deal_the_ranks() -> None:
    """By counting: equal values, ranks in the middle, both sides."""
    one, other = (1.0, 2.0, 2.0, 9.0), (3.0, 4.0, 9.0)
    together = sorted([*one, *other])
    ranks = {x: together.index(x) + (together.count(x) + 1) / 2 for x in together}
    values = [ranks[x] for x in (*one, *other)]
    middle = sum(values) * 4 / 7
    far = abs(sum(values[:4]) - middle)
    deals = [abs(sum(deal) - middle) for deal in combinations(values, 4)]
    expected = sum(each >= far - 1e-9 for each in deals) / len(deals)
    assert chance_of(one, other) == pytest.approx(expected)


def test_many_rounds_are_judged_much_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    one = [float(number) for number in range(15)]
    other = [number + 4.5 for number in range(15)]
    exact = chance_of(one, other)
    monkeypatch.setattr(compare, "_EXACT_UP_TO", 10)
    assert chance_of(one, other) == pytest.approx(exact, rel=0.2)
    assert chance_of([1.0] * 30, [1.0] * 30) == 1.0


def test_only_figures_that_both_have_are_compared() -> None:
    before = [Figure("b", 1, "µs"), Figure("a", 1, "µs"), Figure("unit", 1, "µs")]
    after = [Figure("a", 2, "µs"), Figure("new", 2, "µs"), Figure("unit", 2, "ms")]
    found = compare.compare({"benchmark": "core"}, {"benchmark": "core"}, before, after)
    assert [each.before.name for each in found] == ["a"]


def test_two_benchmarks_are_not_compared() -> None:
    with pytest.raises(compare.NotComparable, match="of core, the other of idle"):
        compare.compare({"benchmark": "core"}, {"benchmark": "idle"}, [], [])
