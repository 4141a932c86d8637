"""The report of `bench faults`, from its document alone."""

from typing import Any

from bench.report import plots
from bench.report.amounts import number
from bench.report.model import Document, Figure, Section, Table

Row = dict[str, Any]
_COUNTS = ("sent", "bounced", "lost", "duplicated", "reordered", "both")


def sections(document: Document) -> list[Section]:
    """The verdicts, the latencies, every bound, and what was not run."""
    rows: list[Row] = document["results"]
    ran = [row for row in rows if row["verdict"] != "not run"]
    return [_verdicts(document, ran), *_latencies(ran), *map(_bounds, ran), *_not_run(rows)]


def figures(document: Document) -> list[Figure]:
    """Broken bounds first; then p99 of each experiment."""
    ran = [row for row in document["results"] if row["verdict"] != "not run"]
    broken = sum(not check["good"] for row in ran for check in row["checks"])
    found = [Figure("bounds broken", broken, "")]
    for name in dict.fromkeys(_name(row) for row in ran):
        values = [
            row["findings"]["p99_ms"] for row in ran if _name(row) == name and row["findings"]
        ]
        if values:
            middle = sorted(values)[len(values) // 2]
            found.append(Figure(f"p99, {name}", middle, "ms", tuple(values)))
    return found


def _name(row: Row) -> str:
    return f"{row['number']} {row['title']}"


def _verdicts(document: Document, ran: list[Row]) -> Section:
    settings = document["settings"]
    failed = sum(row["verdict"] == "fail" for row in ran)
    good = "no bound was broken" if not failed else f"{failed} of them broke a bound"
    text = (
        f"{len(ran)} rounds at {number(settings['per_s'])} stanzas/s ({settings['why']}): {good}."
        " Both: delivered, and bounced as in doubt as well."
    )
    rows = tuple((_name(row), *_cells(row), row["verdict"]) for row in ran)
    columns = ("Experiment", *(name.capitalize() for name in _COUNTS), "p99 ms", "Worst ms", "")
    return Section("What came of the stanzas", text, table=Table(columns, rows))


def _cells(row: Row) -> tuple[str, ...]:
    found = row["findings"]
    if found is None:
        return ("",) * (len(_COUNTS) + 2)
    counts = [f"{found[name]:,}" for name in _COUNTS]
    return (*counts, number(found["p99_ms"]), number(found["worst_ms"]))


def _latencies(ran: list[Row]) -> list[Section]:
    groups = {
        _name(row): {"p99": row["findings"]["p99_ms"], "worst": row["findings"]["worst_ms"]}
        for row in ran
        if row["findings"] and row["findings"]["worst_ms"] > 0
    }
    if not groups:
        return []
    text = "From a stanza's place in the schedule to its arrival; the last round of each."
    picture = plots.grouped_bars("Latency through the trouble", groups, "ms", log=True)
    return [Section("How long stanzas took", text, picture)]


def _bounds(row: Row) -> Section:
    table = Table(
        ("Bound", "Found", "Allowed", ""),
        tuple(
            (check["name"], check["found"], check["bound"], "" if check["good"] else "broken")
            for check in row["checks"]
        ),
    )
    title = f"{_name(row)}, round {row['round']}: {row['verdict']}"
    return Section(title, f"It took {number(row['seconds'])} s.", table=table)


def _not_run(rows: list[Row]) -> list[Section]:
    reasons = {_name(row): row["why"] for row in rows if row["verdict"] == "not run"}
    if not reasons:
        return []
    table = Table(("Experiment", "Because"), tuple(reasons.items()))
    return [Section("Not run", table=table)]
