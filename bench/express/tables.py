"""The arithmetic and the tables of `bench express`, from its document alone.

Medians over the rounds, ratios within a round, the bound held or not. Called by `command` and
`page`.
"""

from collections.abc import Callable
from typing import Any, Final

from bench.express.ways import LIMITS, ROUTER, SERVER, WAYS
from bench.report.amounts import number
from bench.report.model import Document, Table
from bench.throughput.ratios import GENERATOR_LIMIT, Spread

Row = dict[str, Any]
Cell = tuple[str, str]
"""Limits and way."""

BOUND: Final[Cell] = ("default", "socks5")
MIN_TIMES: Final = 5.0
"""What that cell has to carry, of what the ordinary way does under the same limits."""
PARTS: Final = {"Routers": ROUTER, "Prosodys": SERVER}


def rows_of(document: Document) -> list[Row]:
    """The samples, in the order they were taken."""
    rows: list[Row] = document["results"]["samples"]
    return rows


def cells(document: Document) -> list[Cell]:
    """Every cell that has a sample, in the order of `ways`."""
    found = {cell(row) for row in rows_of(document)}
    return [(limits, way) for limits in LIMITS for way in WAYS if (limits, way) in found]


def cell(row: Row) -> Cell:
    """Where the sample belongs."""
    return row["limits"], row["way"]


def spread(document: Document, of: Cell, value: Callable[[Row], float]) -> Spread:
    """A figure of one of `cells`."""
    return Spread(tuple(value(row) for row in rows_of(document) if cell(row) == of))


def rate(row: Row) -> float:
    """Messages per second."""
    return float(row["per_second"])


def cpu(row: Row) -> float:
    """Microseconds per message, of all processes."""
    return float(row["cpu_us"])


def part(name: str) -> Callable[[Row], float]:
    """Microseconds per message, of one of `PARTS`."""

    def of(row: Row) -> float:
        used: dict[str, float] = row["cpu_us_by_process"]
        return sum(us for process, us in used.items() if process.startswith(PARTS[name]))

    return of


def gain(document: Document, of: Cell, value: Callable[[Row], float]) -> Spread | None:
    """How many times that of the ordinary way under the same limits; None without a round of both.

    The ordinary way is no gain over itself.
    """
    limits, way = of
    by_round = {(row["round"], *cell(row)): value(row) for row in rows_of(document)}
    found = tuple(
        figure / by_round[number, limits, "ordinary"]
        for (number, *where), figure in by_round.items()
        if tuple(where) == of and by_round.get((number, limits, "ordinary"))
    )
    return Spread(found) if found and way != "ordinary" else None


def is_held(document: Document) -> bool | None:
    """The bound, by the median of the rounds; None where the run does not tell."""
    measured = gain(document, BOUND, rate)
    return None if measured is None else measured.median >= MIN_TIMES


def verdict(document: Document) -> str:
    """The bound and what was measured, in a sentence."""
    measured, held = gain(document, BOUND, rate), is_held(document)
    words = f"a lane over SOCKS5 carries at least {MIN_TIMES:g} times what the throttled way does"
    if measured is None:
        return f"{words}: not measured"
    return f"{words}: {times(measured)}, {'held' if held else 'NOT HELD'}"


def figures(document: Document) -> Table:
    """A row for each cell; medians. "Times" is the rate, of the ordinary way's.

    "Load" is what the generator took of a core.
    """
    return Table(
        ("Limits", "Way", "Per second", "Times", "µs each", *PARTS, "Load"),
        tuple(_figures_row(document, each) for each in cells(document)),
    )


def left_out(document: Document) -> Table:
    """What there is no figure of, and why."""
    missing = document["results"]["left_out"]
    return Table(
        ("Limits", "Way", "Round", "Reason"),
        tuple((row["limits"], row["way"], str(row["round"]), row["reason"]) for row in missing),
    )


def times(measured: Spread) -> str:
    """The median, and in brackets from the least to the most of the rounds."""
    if len(measured.samples) == 1:
        return f"{number(measured.median)}x"
    return f"{number(measured.median)}x ({number(measured.low)}..{number(measured.high)})"


def _figures_row(document: Document, each: Cell) -> tuple[str, ...]:
    share = spread(document, each, lambda row: float(row["generator_core_share"])).median
    beside = gain(document, each, rate)
    at_least = "at least " if share >= GENERATOR_LIMIT else ""
    return (
        *each,
        at_least + number(spread(document, each, rate).median),
        "" if beside is None else f"{at_least}{number(beside.median)}x",
        number(spread(document, each, cpu).median),
        *(number(spread(document, each, part(name)).median) for name in PARTS),
        f"{share:.0%}",
    )
