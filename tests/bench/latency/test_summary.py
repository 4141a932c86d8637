"""Medians over rounds, ratios within a round, saturation and targets, from rows alone."""

import copy
import json
from typing import Any

import pytest

from bench.latency import page, summary, tables
from bench.latency.distribution import Distribution
from bench.latency.measure import MODES, Plan, rotated


def row(
    subject: str, number: int, ms: float, *, kind: str = "rate", offered: float = 2000, **more: Any
) -> dict[str, Any]:
    latency = Distribution.of([ms * 1000 * share for share in (0.5, 1, 1, 1, 10)])
    return {
        "subject": subject,
        "mode": "in",
        "kind": kind,
        "round": number,
        "others_cores": 0.1,
        "offered_per_s": 0.0 if kind == "lone" else offered,
        "achieved_per_s": offered,
        "latency": json.loads(json.dumps(vars_of(latency))),
        "late": {"quantiles_us": {"p99": 50.0}},
        "generator_core_share": 0.2,
        "is_saturated": False,
        "is_generator_limited": False,
        **more,
    }


def vars_of(latency: Distribution) -> dict[str, Any]:
    return {
        "count": latency.count,
        "quantiles_us": latency.quantiles_us,
        "histogram": latency.histogram,
    }


def test_a_point_is_the_median_of_its_rounds_and_keeps_them() -> None:
    (point,) = summary.points([row("causeway", n, ms) for n, ms in enumerate((3.0, 1.0, 2.0))])
    assert point.ms("p50") == 2.0
    assert point.samples_ms["p50"] == (3.0, 1.0, 2.0)
    assert not point.is_saturated


def test_ratios_are_within_a_round_against_the_better_peer() -> None:
    rows = [
        *(row("causeway", n, ms) for n, ms in enumerate((2.0, 3.0, 10.0))),
        *(row("prosody", n, ms) for n, ms in enumerate((1.0, 9.0, 5.0))),
        *(row("ejabberd", n, ms) for n, ms in enumerate((4.0, 2.0, 20.0))),
    ]
    p50, p99 = summary.targets(rows)
    assert p50.samples == (2.0, 1.5, 2.0)
    assert (p50.value, p50.is_held) == (2.0, True)
    assert p99.samples == p50.samples


def test_a_saturated_peer_is_no_measure() -> None:
    rows = [row("causeway", 0, 2.0), row("prosody", 0, 1000.0, is_saturated=True)]
    assert summary.targets(rows) == []


def test_p99_at_half_of_saturation_is_a_target() -> None:
    (target,) = summary.targets([row("causeway", 0, 3.0, kind="half", offered=50_000)])
    assert (target.value, target.bound, target.is_held) == (30.0, 20.0, False)


@pytest.mark.parametrize(
    ("ms", "limited", "verdict"), [(1.0, False, "yes"), (3.0, False, "no"), (3.0, True, "no verd")]
)
def test_where_the_generator_was_the_limit_there_is_no_verdict(
    ms: float, limited: bool, verdict: str
) -> None:
    half = row("causeway", 0, ms, kind="half", offered=50_000, is_generator_limited=limited)
    table = tables.held([half])
    assert table is not None
    assert str(table.rows[0][-1]).startswith(verdict)


def probe(offered: float, saturated: bool, *, number: int = 0, limited: bool = False) -> Any:
    return row(
        "causeway", number, 1.0, kind="probe", offered=offered,
        is_saturated=saturated, is_generator_limited=limited,
    )  # fmt: skip


def test_the_edge_is_the_highest_rate_carried_below_one_that_failed() -> None:
    rows = [probe(2000, False), probe(4000, True), probe(4000, False), probe(8000, True)]
    rows.append(probe(8000, True))
    found = summary.saturation(rows, "causeway", "in")
    assert found == summary.Saturation((4000,), True)


def test_where_the_generator_is_the_limit_the_edge_is_a_lower_bound() -> None:
    rows = [probe(2000, False), probe(4000, True, limited=True)]
    found = summary.saturation(rows, "causeway", "in")
    assert found == summary.Saturation((2000,), False)
    table = tables.edges([*rows, row("causeway", 0, 1.0, kind="half", offered=1000)])
    assert table is not None
    assert table.rows[0][2] == ">= 2,000"
    assert table.rows[0][-1] == "the generator was the limit"


def test_nobody_looked_for_saturation() -> None:
    assert summary.saturation([row("causeway", 0, 1.0)], "causeway", "in") is None
    assert tables.edges([row("causeway", 0, 1.0)]) is None


def test_each_subject_is_first_in_turn() -> None:
    orders = [list(rotated(("a", "b", "c"), number)) for number in range(3)]
    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]


def test_the_progress_counts_a_search_for_servers_only() -> None:
    plan = Plan(
        ("causeway", "haproxy", "generator"), MODES, (1.0, 2.0), 1, 2, 10, 0.01, "even", True, 1, 1
    )
    assert plan.steps() == 2 * 3 * (3 * 3 + 1)


DOCUMENT = {
    "settings": {"rounds": 1},
    "results": [
        row("causeway", 0, 1.0, kind="lone"),
        row("causeway", 0, 1.0),
        row("causeway", 0, 2.0, offered=4000),
        row("prosody", 0, 1.0),
        row("generator", 0, 0.1),
        probe(8000, False),
        probe(16_000, True),
        row("causeway", 0, 1.0, kind="half", offered=4000),
    ],
}


def test_the_report_is_drawn_from_the_document_alone() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    before = copy.deepcopy(document)
    sections = page.sections(document)
    assert document == before
    titles = [section.title for section in sections]
    assert titles[:2] == ["Targets", "Saturation"]
    assert "in: p99 over offered load" in titles
    assert "in: quantiles, 2,000/s" in titles
    curve = next(section for section in sections if section.title == "in: p99 over offered load")
    assert "saturated" in curve.svg
    assert "Causeway" in curve.svg


def test_figures_have_names_of_their_own_and_the_lone_stanza_first() -> None:
    figures = page.figures(json.loads(json.dumps(DOCUMENT)))
    names = [figure.name for figure in figures]
    assert len(set(names)) == len(names)
    assert names[0] == "in, a lone stanza: p50"
    assert figures[names.index("in: saturated at")].value == pytest.approx(8000)
