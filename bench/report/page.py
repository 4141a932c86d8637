"""One HTML file from a document and its sections: no script, nothing loaded from anywhere.

Called by `verb` after a run and by `command` for documents that were kept. Follows the reader's
colour scheme, and the width of the screen down to a telephone's.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Final

from bench.report.amounts import amount, number
from bench.report.model import Document, Figure, Section, Table
from bench.report.palette import style_sheet
from bench.report.registry import TITLES

_TILES: Final = 4
_FIGURE: Final = re.compile(r"-|[-+<>=~ ]*\d[\d.,]*( … [\d.,]+)?( ?[^\s\d]{1,5})?")
"""A cell that is one figure or a range, with or without a unit."""
_STYLE: Final = Path(__file__).with_name("page.css")


def page(document: Document, sections: Iterable[Section], figures: Sequence[Figure] = ()) -> str:
    """The report: what was measured on what, the first of the figures as tiles, the sections."""
    name = str(document["benchmark"])
    return whole(
        f"Causeway: {TITLES[name]}",
        [
            *_header(name, document),
            *_tiles(figures[:_TILES]),
            *parts(sections),
            *_origin(document),
        ],
    )


def whole(title: str, body: Iterable[str]) -> str:
    """A page around some HTML."""
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{style_sheet()}{_STYLE.read_text()}</style></head><body><main>",
            *body,
            "</main></body></html>",
            "",
        )
    )


def parts(sections: Iterable[Section]) -> list[str]:
    """Sections as HTML."""
    return [line for section in sections for line in _section(section)]


def _header(name: str, document: Document) -> list[str]:
    machine = document.get("machine", {})
    versions = document["versions"]
    taken_at = datetime.fromisoformat(document["taken_at"])
    facts = (
        f"{taken_at:%Y-%m-%d %H:%M %Z}, commit {document['commit']}",
        f"{machine.get('cpu')}, {machine.get('cores')} cores, Linux {machine.get('kernel')}",
    )
    return [
        "<header>",
        f'<p class="name">Causeway {escape(str(versions.get("causeway")))}: {escape(name)}</p>',
        f"<h1>{escape(TITLES[name])}</h1>",
        *(f"<p>{escape(fact)}</p>" for fact in facts),
        "</header>",
    ]


def _tiles(figures: Sequence[Figure]) -> list[str]:
    if not figures:
        return []
    tiles = [
        f'<div class="tile"><b>{number(figure.value)} <small>{escape(figure.unit)}</small></b>'
        f"<span>{escape(figure.name)}</span></div>"
        for figure in figures
    ]
    return ['<div class="tiles">', *tiles, "</div>"]


def _section(section: Section) -> list[str]:
    lines = ["<section>", f"<h2>{escape(section.title)}</h2>"]
    lines += [f"<p>{escape(each.strip())}</p>" for each in section.text.split("\n\n") if each]
    if section.svg:
        lines.append(f'<div class="wide">{section.svg}</div>')
    if section.table is not None:
        lines += ['<div class="wide">', *_table(section.table), "</div>"]
    return [*lines, "</section>"]


def _table(table: Table) -> list[str]:
    """Columns of figures stand to the right, all but the first."""
    cells = (
        [row[index] for row in table.rows if row[index]] for index in range(len(table.columns))
    )
    classes = [
        ' class="number"' if index and column and all(map(_FIGURE.fullmatch, column)) else ""
        for index, column in enumerate(cells)
    ]
    head = "".join(
        f"<th{kind}>{escape(name)}</th>" for kind, name in zip(classes, table.columns, strict=True)
    )
    rows = [
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(classes, row, strict=True))
        + "</tr>"
        for row in table.rows
    ]
    return ["<table>", f"<tr>{head}</tr>", *rows, "</table>"]


def _origin(document: Document) -> list[str]:
    """What was asked for, and the versions of what took part."""
    return [
        "<section><details><summary>Settings and versions</summary><dl>",
        *_terms(document.get("settings", {})),
        *_terms(document.get("versions", {})),
        "</dl></details></section>",
    ]


def _terms(values: dict[str, object]) -> list[str]:
    return [
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_word(value))}</dd>"
        for name, value in values.items()
    ]


def _word(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value))
    if isinstance(value, float):
        return amount(value, "")
    return str(value)
