"""Pictures hold their words and values, are the same each time, and stand side by side."""

import math
import re
from xml.etree import ElementTree as etree

import pytest

from bench.report import plots
from bench.report.plots import Line
from bench.report.ratios import ratios

SERVERS = {"causeway": 4.2, "prosody": 90.0}


def words(svg: str) -> set[str]:
    """Every text in the picture, which has to be well-formed."""
    return {text.strip() for text in etree.fromstring(svg).itertext() if text.strip()}


def test_bars_carry_names_values_and_the_limit() -> None:
    svg = plots.grouped_bars(
        "CPU <per> stanza",
        {"in": SERVERS, "out": {"causeway": 0.0}},
        "µs",
        log=True,
        limit=("t", 5),
    )
    assert {"in", "out", "causeway", "prosody", "4.2 µs", "90 µs", "0 µs", "t"} <= words(svg)
    assert 'aria-label="CPU &lt;per> stanza"' in svg


@pytest.mark.parametrize("values", [{}, {"none": 0.0}, {"unknown": math.nan}, {"below": -3.0}])
@pytest.mark.parametrize("log", [False, True])
def test_bars_bear_what_cannot_be_drawn(values: dict[str, float], log: bool) -> None:
    assert set(values) <= words(plots.bars("odd", values, "µs", log=log))


def test_curves_are_named_and_bear_points_that_cannot_be_drawn() -> None:
    lines = [
        Line("p50", [(1, 2), (10, 3), (100, math.inf)], "causeway", mark=50, mark_text="full"),
        Line("p99", [(0, 5), (10, 3)], "causeway", dashes=1),
        Line("nothing", []),
    ]
    shown = words(plots.curves("Latency", lines, "rate", "ms", log_x=True, log_y=True))
    assert {"p50", "p99", "rate", "ms", "full"} <= shown
    assert "nothing" not in shown
    assert {"rate", "ms"} <= words(plots.curves("Empty", [], "rate", "ms"))


def test_stacks_name_their_parts_and_their_sums() -> None:
    stacks = {"100 B": {"reader": 1.0, "TLS": 3.0}, "383 B": {"reader": 2.0, "other": 0.001}}
    shown = words(plots.stacked("Stages", stacks, "µs"))
    assert {"100 B", "383 B", "reader", "TLS", "other", "4 µs", "2 µs", "3"} <= shown


def test_ratios_show_how_many_times() -> None:
    shown = words(ratios("Changes", {"in": (0.5, "better"), "out": (2.0, "worse")}))
    assert {"in", "out", "0.5x", "2x"} <= shown


def test_a_picture_is_the_same_each_time_and_takes_its_colours_from_the_page() -> None:
    one, same = (plots.bars("x", SERVERS, "µs") for _ in range(2))
    assert one == same
    assert not re.search(r"(?<!,)#[0-9a-f]{6}", one)
    assert "DejaVu" not in one
    assert "<metadata" not in one
    assert not re.search(r"<svg[^>]* (width|height)=", one)


def test_two_pictures_share_no_id() -> None:
    lines = [Line("a", [(0, 1), (1, 2)])]
    pictures = [plots.curves("x", lines, "x", "y"), plots.curves("x", lines, "x", "other")]
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in pictures]
    assert all(ids)
    assert ids[0].isdisjoint(ids[1])
    for svg, own in zip(pictures, ids, strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg)) == own


def test_names_at_the_ends_of_lines_do_not_touch() -> None:
    assert plots.spread_out([0.2, 0.9], 0.1) == [0.2, 0.9]
    assert plots.spread_out([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert plots.spread_out([0.5, 0.52, 0.6], 0.1) == pytest.approx([0.44, 0.54, 0.64])
