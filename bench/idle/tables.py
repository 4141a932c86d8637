"""The figures of `bench idle`, computed from the rows of its document. For the terminal and `page`.

A row is one server, one proof, one round (`measure.Result`); what is shown is the median of rounds.
"""

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any, Final

from bench.report.amounts import number
from bench.report.model import Document, Table

Row = dict[str, Any]
Figure = Callable[[Row], float]
Cell = tuple[str, str]
"""Subject and proof."""

KIB: Final = 1024
OURS: Final = "causeway"
RIVAL: Final = "ejabberd"
MOST_KIB: Final = 100.0
"""What a stream may hold: design target at 5,000 streams."""
TARGET_STREAMS: Final = 5000


def per_cpu_s(row: Row) -> float:
    """Streams set up per CPU second of the server, those one after another and those at once."""
    return _streams(row["set_up"]) / _cpu_s(row["set_up"])


def one_by_one_per_cpu_s(row: Row) -> float:
    """The same of those that were set up one after another."""
    return _of(row, lambda at_once: at_once == 1)


def at_once_per_cpu_s(row: Row) -> float:
    """The same of those of which several were set up at a time."""
    return _of(row, lambda at_once: at_once > 1)


def pss_kib(row: Row) -> float:
    """Proportional set size of all the server's processes per stream, while all stand."""
    return _each_kib(row["held"][-1], "pss_bytes")


def rss_kib(row: Row) -> float:
    """Resident set size of all the server's processes per stream, while all stand."""
    return _each_kib(row["held"][-1], "rss_bytes")


def idle_percent(row: Row) -> float:
    """Per cent of a core that the server uses while nothing happens on its streams."""
    return float(100 * row["idle_cpu_s"] / row["idle_wall_s"])


def closing_us(row: Row) -> float:
    """CPU of the server to close one stream in order, in microseconds."""
    return float(row["closing_cpu_s"] * 1e6 / row["held"][-1]["streams"])


def kept_mib(row: Row) -> float:
    """What the server still holds once all streams are closed, beyond what it held before."""
    return float(row["held_after"]["pss_bytes"] / KIB / KIB)


def generator_us(row: Row) -> float:
    """CPU of the calling side for one stream, in microseconds."""
    return (
        float(sum(each["generator_cpu_s"] for each in row["set_up"]))
        * 1e6
        / _streams(row["set_up"])
    )


def dialled(row: Row) -> float:
    """Connections that the server opened to have keys verified, for each stream."""
    return float(row["dialled"] / row["held"][-1]["streams"])


Columns = tuple[tuple[str, Figure], ...]
SET_UP: Final[Columns] = (
    ("Streams per CPU s", per_cpu_s),
    ("one by one", one_by_one_per_cpu_s),
    ("several at once", at_once_per_cpu_s),
    ("Closing, µs", closing_us),
    ("Generator, µs", generator_us),
)
HOLDING: Final[Columns] = (
    ("PSS, KiB", pss_kib),
    ("RSS, KiB", rss_kib),
    ("Dialled", dialled),
    ("Idle, % of a core", idle_percent),
    ("MiB kept after", kept_mib),
)


def cells(document: Document) -> list[Cell]:
    """What was measured, in the order it was."""
    return list(dict.fromkeys((row["subject"], row["auth"]) for row in document["results"]))


def rows_of(document: Document, cell: Cell) -> list[Row]:
    """The rounds of one of them."""
    return [row for row in document["results"] if (row["subject"], row["auth"]) == cell]


def typical(document: Document, cell: Cell, figure: Figure) -> float:
    """The median of the rounds."""
    return median(map(figure, rows_of(document, cell)))


def line(document: Document, cell: Cell) -> list[tuple[float, float]]:
    """MiB held over streams that stand: the medians of the rounds."""
    rows = rows_of(document, cell)
    stops = [held["streams"] for held in rows[0]["held"]]
    return [(0.0, 0.0)] + [
        (float(streams), median(row["held"][at]["pss_bytes"] for row in rows) / KIB / KIB)
        for at, streams in enumerate(stops)
    ]


def set_up(document: Document) -> Table:
    """Setting up and closing: a row for each server and proof; CPU of one stream."""
    return _table(document, SET_UP)


def holding(document: Document) -> Table:
    """Holding: a row for each server and proof; memory of one stream, with what it dialled."""
    return _table(document, HOLDING)


def _table(document: Document, columns: Columns) -> Table:
    rows = (
        (*cell, *(number(typical(document, cell, figure)) for _, figure in columns))
        for cell in cells(document)
    )
    return Table(("Server", "Proof", *(name for name, _ in columns)), tuple(rows))


def targets(document: Document) -> Table:
    """What was promised, and whether it held in this run."""
    return Table(("Target", "Measured", "Held"), tuple(_targets(document)))


def _targets(document: Document) -> Iterable[tuple[str, str, str]]:
    for subject, auth in cells(document):
        if subject != OURS:
            continue
        ours = (subject, auth)
        if auth == "external":  # with dialback what was dialled is held, too
            streams = rows_of(document, ours)[0]["held"][-1]["streams"]
            held = typical(document, ours, rss_kib)
            verdict = _held(held <= MOST_KIB) if streams >= TARGET_STREAMS else "too few streams"
            words = f"at most {MOST_KIB:g} KiB resident for an idle stream"
            yield words, f"{number(held)} KiB at {streams:,}", verdict
        if (RIVAL, auth) in cells(document):
            ratio = ratio_to_rival(document, auth)
            words = f"streams per CPU second, at least those of {RIVAL} ({auth})"
            yield words, f"{number(ratio)} times as many", _held(ratio >= 1)


def ratio_to_rival(document: Document, auth: str) -> float:
    """Our streams per CPU second to the rival's, within each round; the median of rounds."""
    ours, theirs = rows_of(document, (OURS, auth)), rows_of(document, (RIVAL, auth))
    return median(per_cpu_s(a) / per_cpu_s(b) for a, b in zip(ours, theirs, strict=True))


def _held(is_held: bool) -> str:
    return "yes" if is_held else "no"


def _each_kib(held: Row, which: str) -> float:
    return float(held[which] / KIB / held["streams"])


def _of(row: Row, wanted: Callable[[int], bool]) -> float:
    phases = [each for each in row["set_up"] if each["streams"] and wanted(each["at_once"])]
    return _streams(phases) / _cpu_s(phases) if phases else float("nan")


def _streams(phases: Iterable[Row]) -> int:
    return sum(each["streams"] for each in phases)


def _cpu_s(phases: Iterable[Row]) -> float:
    """The kernel counts in ticks: a phase too short for one has no figure."""
    return float(sum(each["cpu_s"] for each in phases)) or float("nan")
