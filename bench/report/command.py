"""`causeway bench report`: one document drawn again, or two compared."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as ScreenTable

from bench.report.amounts import amount, number
from bench.report.compare import (
    BETTER,
    LEAST_SHARE,
    MOST_CHANCE,
    NOISE,
    UNDECIDED,
    WORSE,
    Comparison,
    NotComparable,
    compare,
)
from bench.report.model import Document, Figure, Section, Table
from bench.report.page import page
from bench.report.ratios import ratios
from bench.report.registry import UnknownBenchmark, page_of
from bench.report.verb import Html, draw

_COLUMNS = ("Figure", "Before", "After", "Ratio", "Chance", "Verdict")
_COLOURS = {"better": "green", "worse": "red"}


def report_command(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="A document.")],
    after: Annotated[
        Path | None, typer.Argument(metavar="B.json", help="A later one of the same benchmark.")
    ] = None,
    html: Html = None,
) -> None:
    """Show the figures of a document, or compare two; --html draws the report."""
    console = Console()
    first, earlier = _read(before)
    if after is None:
        console.print(_screen(_shown(str(first["benchmark"]), earlier)))
        if html is not None:
            draw(html, first)
    else:
        second, later = _read(after)
        try:
            found = compare(first, second, earlier, later)
        except NotComparable as error:
            raise typer.BadParameter(str(error)) from None
        console.print(_screen(_compared(found), coloured=True))
        if html is not None:
            html.write_text(page(second, sections(first, second, found), tally(found)))
    if html is not None:
        console.print(f"the report is in {html}", soft_wrap=True)


def sections(before: Document, after: Document, found: list[Comparison]) -> list[Section]:
    """The report of a comparison: what was compared, the picture, the table."""
    decided = {
        each.after.name: (each.ratio, each.verdict)
        for each in found
        if each.verdict != UNDECIDED and each.ratio > 0
    }
    words = (
        f"Before: {_origin(before)}. After: {_origin(after)}.{_elsewhere(before, after)}\n\n"
        f"A difference counts when it is at least {LEAST_SHARE:.0%} and rounds of one and the same"
        f" program would lie so far apart by chance in at most {MOST_CHANCE:.0%} of all cases"
        " (rank-sum test, two sided). With three rounds a side that is: no overlap at all."
    )
    picture = ratios("Every figure as a multiple of its former value", decided) if decided else ""
    return [Section("Before and after", words, picture, _compared(found))]


def _origin(document: Document) -> str:
    taken_at = datetime.fromisoformat(document["taken_at"])
    return f"commit {document['commit']} on {taken_at:%Y-%m-%d at %H:%M %Z}"


def tally(found: list[Comparison]) -> list[Figure]:
    """How many of each verdict."""
    verdicts = [each.verdict for each in found]
    return [
        Figure(verdict, verdicts.count(verdict), f"of {len(found)}")
        for verdict in (BETTER, WORSE, NOISE, UNDECIDED)
    ]


def _elsewhere(before: Document, after: Document) -> str:
    same = before.get("machine") == after.get("machine")
    return "" if same else " The machines differ, so the ratios are the machines' as well."


def _read(path: Path) -> tuple[Document, list[Figure]]:
    """A document and its figures, or a word on what else the file is."""
    try:
        document: Document = json.loads(path.read_text())
        source = page_of(document)
    except (OSError, ValueError, AttributeError) as error:
        reason = error if isinstance(error, UnknownBenchmark | OSError) else "it is no result"
        raise typer.BadParameter(f"{path}: {reason}") from None
    try:
        return document, source.figures(document)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"not a result as this version writes them ({type(error).__name__}: {error})"
        raise typer.BadParameter(f"{path}: {reason}") from None


def _shown(name: str, figures: list[Figure]) -> Table:
    rows = (
        (each.name, amount(each.value, each.unit), _range(each), str(len(each.samples)))
        for each in figures
    )
    return Table((name.capitalize(), "Value", "Rounds from … to", "Rounds"), tuple(rows))


def _compared(found: list[Comparison]) -> Table:
    rows = (
        (
            each.after.name,
            f"{amount(each.before.value, each.before.unit)} ({_range(each.before)})",
            f"{amount(each.after.value, each.after.unit)} ({_range(each.after)})",
            f"{number(each.ratio)}x",
            "-" if each.chance is None else f"{each.chance:.3f}",
            each.verdict,
        )
        for each in found
    )
    return Table(_COLUMNS, tuple(rows))


def _range(figure: Figure) -> str:
    if not figure.samples:
        return "-"
    return f"{number(min(figure.samples))} … {number(max(figure.samples))}"


def _screen(table: Table, coloured: bool = False) -> ScreenTable:
    screen = ScreenTable()
    for name in table.columns:
        screen.add_column(
            name, justify="left" if name in ("Verdict", table.columns[0]) else "right"
        )
    for row in table.rows:
        screen.add_row(*row, style=_COLOURS.get(row[-1], "") if coloured else "")
    return screen
