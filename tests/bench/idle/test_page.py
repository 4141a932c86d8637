"""The report of `bench idle` is drawn from the document alone."""

import json

from bench.idle import page, tables
from bench.report.model import Document
from tests.bench.idle.test_tables import document, row


def whole() -> Document:
    cells = [(name, auth) for name in ("ejabberd", "causeway") for auth in ("external", "dialback")]
    rows = [row(*cell, kib=kib) for kib in (60, 70) for cell in cells]
    again: Document = json.loads(json.dumps(document(*rows)))
    return again


def test_every_section_has_something_to_show() -> None:
    sections = page.sections(whole())
    assert all(section.svg or section.table for section in sections)
    assert len({section.title for section in sections}) == len(sections)
    growth = next(section.text for section in sections if section.title == "Memory over streams")
    assert "At 1,000, 5,000 streams." in growth
    assert "causeway (external): 65, 65 KiB each." in growth


def test_our_figures_come_first_with_their_rounds() -> None:
    figures = page.figures(whole())
    assert figures[0].name == "streams set up per CPU second, causeway, external"
    assert not figures[0].lower_is_better
    assert len({figure.name for figure in figures}) == len(figures)
    memory = next(each for each in figures if each.name.startswith("KiB per idle stream (PSS)"))
    assert memory.samples == (60.0, 70.0)
    assert memory.value == tables.typical(whole(), ("causeway", "external"), tables.pss_kib)
