"""What a document comes to: medians, ratios within a round, the bound, what is missing."""

from typing import Any

import pytest

from bench.express import tables
from bench.express.measure import Found, LeftOut, Sample, as_results
from bench.express.ways import Limits, Way

BY_PROCESS = {
    "router montague.lit a0.1": 2.0,
    "router capulet.lit a0.1": 3.0,
    "prosody montague.lit": 10.0,
}


def sample(
    way: Way, per_second: int, number: int = 1, limits: Limits = "default", generator: float = 0.1
) -> Sample:
    return Sample(
        way=way,
        limits=limits,
        round=number,
        size_bytes=383,
        messages=2 * per_second,
        wall_s=2.0,
        cpu_us_by_process=BY_PROCESS,
        rest_core_share=0.01,
        generator_core_share=generator,
    )


def document(*samples: Sample, left_out: tuple[LeftOut, ...] = ()) -> dict[str, Any]:
    return {"results": as_results(Found(samples, left_out))}


THREE_ROUNDS = document(
    sample("ordinary", 100, 1),
    sample("ordinary", 50, 2),
    sample("ordinary", 200, 3),
    sample("socks5", 1000, 1),
    sample("socks5", 1000, 2),
    sample("socks5", 1000, 3),
)


def test_a_ratio_is_of_one_round() -> None:
    found = tables.gain(THREE_ROUNDS, tables.BOUND, tables.rate)
    assert found is not None
    assert found.samples == (10, 20, 5)
    assert tables.gain(THREE_ROUNDS, ("default", "ordinary"), tables.rate) is None
    assert tables.times(found) == "10x (5..20)"


@pytest.mark.parametrize(("per_second", "held"), [(499, False), (500, True)])
def test_the_bound_is_five_times(per_second: int, held: bool) -> None:
    run = document(sample("ordinary", 100), sample("socks5", per_second))
    assert tables.is_held(run) is held
    assert ("NOT HELD" in tables.verdict(run)) is not held


@pytest.mark.parametrize(
    "run",
    [
        document(sample("ordinary", 100)),
        document(sample("ordinary", 100, 1), sample("socks5", 9000, 2)),
        document(sample("ordinary", 100, limits="none"), sample("socks5", 9000, limits="none")),
    ],
    ids=["one way", "no round of both", "no limits"],
)
def test_without_both_there_is_no_verdict(run: dict[str, Any]) -> None:
    assert tables.is_held(run) is None
    assert tables.verdict(run).endswith("not measured")


def test_cpu_is_told_by_whose_it_is() -> None:
    run = document(sample("in-band", 100))
    cell = ("default", "in-band")
    assert tables.spread(run, cell, tables.part("Routers")).median == 5
    assert tables.spread(run, cell, tables.part("Prosodys")).median == 10
    assert tables.spread(run, cell, tables.cpu).median == 15


def test_a_row_for_each_cell_in_one_order() -> None:
    run = document(
        sample("socks5", 5000, limits="none"),
        sample("socks5", 1000, generator=0.95),
        sample("ordinary", 100),
    )
    assert tables.figures(run).rows == (
        ("default", "ordinary", "100", "", "15", "5", "10", "10%"),
        ("default", "socks5", "at least 1,000", "at least 10x", "15", "5", "10", "95%"),
        ("none", "socks5", "5,000", "", "15", "5", "10", "10%"),
    )


def test_what_is_missing_is_told_with_its_reason() -> None:
    run = document(left_out=(LeftOut("in-band", "default", 2, "no express lane within 60 s"),))
    assert tables.cells(run) == []
    assert tables.left_out(run).rows == (
        ("default", "in-band", "2", "no express lane within 60 s"),
    )
