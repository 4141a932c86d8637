"""The arithmetic of what is saved, from a document with easy figures."""

import json
from dataclasses import asdict, replace
from math import isnan

import pytest

from bench.bidi import savings
from bench.bidi.cell import Cell
from bench.bidi.savings import comparisons, quantile, result_of, round_trips, saved_percent
from tests.support.bidi_document import document, made_up, rows

OFF = Cell("causeway-prosody", "external", "domain", "request", 10, 0, False)
ON = replace(OFF, bidi=True)


def test_a_row_of_the_document_is_the_result_again() -> None:
    result = made_up(ON)
    assert result_of(json.loads(json.dumps(asdict(result)))) == result


def test_a_comparison_is_of_one_pair() -> None:
    (found,) = comparisons(rows([OFF, ON]))
    assert found.cell == OFF
    assert found.values(savings.CONNECTIONS) == (2, 1)
    assert found.values(savings.HANDSHAKES) == (2, 1)
    assert found.values(savings.PACKETS) == (50, 25)
    assert found.values(savings.BYTES) == (16, 8)
    assert found.values(savings.CPU) == pytest.approx((16, 8))
    assert found.values(savings.MEMORY) == (200, 100)
    assert found.values(savings.FIRST_P50) == pytest.approx((1, 1))
    assert found.saved_percent(savings.BYTES) == 50
    assert savings.cpu_ms_per_connection(found.on[0]) == pytest.approx(8)


def test_medians_are_of_the_rounds_and_savings_within_each() -> None:
    (found,) = comparisons(rows([OFF, ON], rounds=3))
    assert found.values(savings.FIRST_P50) == pytest.approx((2, 2))
    assert found.saved_by_round(savings.CONNECTIONS) == (50, 50, 50)


@pytest.mark.parametrize("lost", [False, True])
def test_a_round_without_its_counterpart_is_left_out(lost: bool) -> None:
    whole = rows([OFF, ON], rounds=2)
    some = [row for row in whole if (row["round"], row["cell"]["bidi"]) != (0, lost)]
    (found,) = comparisons(some)
    assert [each.round for each in (*found.off, *found.on)] == [1, 1]
    assert comparisons(rows([OFF])) == comparisons(rows([ON])) == []


def test_what_grows_with_the_distance_is_round_trips() -> None:
    far = [replace(cell, rtt_ms=50) for cell in (OFF, ON)]
    near, away = comparisons(rows([OFF, ON, *far]))
    assert round_trips(near, away) == pytest.approx((10, 5))


def test_times_are_withheld_from_a_busy_generator_and_nothing_else() -> None:
    (found,) = comparisons(rows([OFF, ON], share=0.9))
    assert isnan(found.saved_percent(savings.FIRST_P50))
    assert isnan(found.values(savings.FIRST_P99)[0])
    assert found.saved_percent(savings.CPU) == pytest.approx(50)


@pytest.mark.parametrize(("off", "on", "saved"), [(4, 1, 75), (4, 4, 0), (4, 5, -25), (4, 0, 100)])
def test_saved(off: float, on: float, saved: float) -> None:
    assert saved_percent(off, on) == saved


@pytest.mark.parametrize(("off", "on"), [(0, 1), (-1, 1), (1, -1)])
def test_nothing_is_saved_of_nothing(off: float, on: float) -> None:
    assert isnan(saved_percent(off, on))


def test_quantiles() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7], 0.99)) == (51, 100, 7)


def test_a_whole_document_has_every_cell_twice() -> None:
    found = comparisons(document()["results"])
    assert all(len(each.off) == len(each.on) == 2 for each in found)
    # 4 kinds of servers and certificates, 2 proofs, 2 counts, 2 distances and one way at one.
    assert len(found) == 4 * 2 * 2 * 3
