"""A result in tables, for the terminal and for the report: the figures, and the targets.

From the JSON document alone. Called by `command` and `page`.
"""

from statistics import median

from bench.report.model import Document, Table
from bench.throughput.ratios import (
    GENERATOR_LIMIT,
    Key,
    Row,
    Spread,
    cpu,
    key,
    keys,
    rate,
    ratio,
    rows_of,
    spread,
    subjects,
    targets,
)

FIGURES = (
    "Mode",
    "Server",
    "µs/stanza",
    "Stanzas/s",
    "Busiest",
    "Generator",
    "Ratio",
)
WITHHELD = (
    f"Stanzas/s are withheld where the generator took {GENERATOR_LIMIT:.0%} of a core or more: it"
    " may have been the limit."
)


def figures(document: Document) -> Table:
    """A row for each cell and server, CPU in microseconds: of all processes, of the busiest one.

    The generator's part is of a core; the ratio is of CPU, to the first of ours in the cell.
    """
    rows = rows_of(document)
    ours = subjects(rows)[0] if rows else ""
    return Table(
        FIGURES,
        tuple(
            _figures_row(rows, each, name, ours)
            for each in keys(rows)
            for name in subjects(rows)
            if spread(rows, name, each, cpu) is not None
        ),
    )


def withheld(document: Document) -> bool:
    """Whether some figure is."""
    return any(rate(row) is None for row in rows_of(document))


def target_table(document: Document) -> Table:
    """A row for each target that the run has figures for."""
    return Table(
        ("Target", "Mode", "Measured", "Held?"),
        tuple(
            (each.words, each.where, times(each.measured), "yes" if each.is_held else "NO")
            for each in targets(document)
        ),
    )


def cell_name(each: Key, rows: list[Row]) -> str:
    """The mode, and what differs from the first cell."""
    mode, size, acceptors = each
    first = keys(rows)[0]
    words = [mode]
    if size != first[1]:
        words.append(f"{size:,} octets")
    if acceptors != first[2]:
        words.append(f"{acceptors} acceptors")
    return ", ".join(words)


def _figures_row(rows: list[Row], each: Key, name: str, ours: str) -> tuple[str, ...]:
    found = [row for row in rows if row["subject"] == name and key(row) == each]
    busiest = [max(row["cpu_us_by_process"].items(), key=lambda it: it[1]) for row in found]
    speed = spread(rows, name, each, rate)
    beside = ratio(rows, (name, each), (ours, each), cpu) if name != ours else None
    return (
        cell_name(each, rows),
        name,
        f"{median(map(cpu, found)):.2f}",
        "withheld" if speed is None else f"{speed.median:,.0f}",
        f"{busiest[0][0]} {median(used for _, used in busiest):.2f}",
        f"{median(row['generator_core_share'] for row in found):.0%}",
        "" if beside is None else times(beside),
    )


def times(measured: Spread) -> str:
    """The median, and in brackets from the least to the most of the rounds."""
    if len(measured.samples) == 1:
        return f"{measured.median:.2f} x"
    return f"{measured.median:.2f} x ({measured.low:.2f}..{measured.high:.2f})"
