"""The report: says what is saved in words, draws it, and compares what is worth comparing."""

import json
from typing import Any

import pytest

from bench.bidi import page
from bench.report.model import Section
from bench.report.page import page as whole_page
from tests.support.bidi_document import document


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(document()))
    return loaded


@pytest.fixture(scope="module")
def drawn(made: dict[str, Any]) -> list[Section]:
    return page.sections(made)


def test_the_first_section_says_it_in_words(drawn: list[Section]) -> None:
    first = drawn[0]
    assert "(delay proxy: no netem in this kernel)" in first.text
    assert (
        "Causeway to Prosody by SASL EXTERNAL, 50 pairs: 50 TCP connections with bidi instead of"
        " 100; 50 % less on the wire, 50 % less CPU, 50 % less memory" in first.text
    )
    assert (
        "Causeway to Prosody by dialback, 50 pairs: 100 TCP connections with bidi instead of 100;"
        " 0 % less on the wire" in first.text
    )
    assert "one-way" not in first.text


def test_each_proof_has_its_picture_and_distance_its_round_trips(drawn: list[Section]) -> None:
    found = {section.title: section for section in drawn}
    for proof, trips in (("SASL EXTERNAL", ("10.0", "5.0")), ("dialback", ("10.0", "10.0"))):
        assert "<svg" in found[f"Saved with {proof}, 50 pairs at once"].svg
        far = found[f"Time to the first reply with {proof}, 1 pair at a time"]
        assert "<svg" in far.svg
        assert far.table is not None
        assert ("Causeway to Prosody", "50", *trips) in far.table.rows


def test_the_last_section_has_everything(drawn: list[Section]) -> None:
    table = drawn[-1].table
    assert table is not None
    assert {len(row) for row in table.rows} == {len(table.columns)}
    (row,) = [
        row
        for row in table.rows
        if row[:5] == ("Prosody to Prosody", "SASL EXTERNAL", "request", "50", "0")
    ]
    assert row[5:9] == ("100 → 50", "100 → 50", "2,500 → 1,250", "800 → 400")
    assert row[-1] == "10%"


def test_figures_have_names_of_their_own_and_a_sample_for_each_round(made: dict[str, Any]) -> None:
    figures = page.figures(made)
    assert len({figure.name for figure in figures}) == len(figures)
    assert {len(figure.samples) for figure in figures} == {2}
    assert (figures[0].value, figures[0].unit, figures[0].lower_is_better) == (50, "%", False)
    assert all("50 pairs" in figure.name for figure in figures)


@pytest.mark.parametrize("keep", ["one-way", "nothing"])
def test_a_document_with_less_is_drawn_as_well(made: dict[str, Any], keep: str) -> None:
    some = {**made, "results": [row for row in made["results"] if row["cell"]["mix"] == keep]}
    assert "Everything" in whole_page(some, page.sections(some), page.figures(some))
