"""The tables of a latency run. Each is a `Table` of the report; `command` prints them, too."""

from bench.latency.summary import (
    NAMES,
    Point,
    Rows,
    Target,
    modes,
    points,
    saturation,
    subjects,
    targets,
)
from bench.report.amounts import amount, number
from bench.report.model import Table

_QUANTILES = ("p50", "p99", "p99.9", "max")


def latencies(rows: Rows, mode: str) -> Table:
    """One mode: milliseconds by load and subject.

    "Late" is how long after it was due a stanza was written: the generator's own delay."""
    columns = ("Load", "Subject", *_QUANTILES, "Carried", "Late p99")
    chosen = [point for point in points(rows) if point.mode == mode]
    order = subjects(rows)
    chosen.sort(key=lambda point: (_place(point), order.index(point.subject)))
    return Table((*columns, "Generator"), tuple(map(_row, chosen)))


def edges(rows: Rows) -> Table | None:
    """Where each subject is saturated, and its p99 at half of that; None when nobody looked."""
    halves = {(each.subject, each.mode): each for each in points(rows) if each.kind == "half"}
    found = []
    for mode in modes(rows):
        for subject in subjects(rows):
            edge = saturation(rows, subject, mode)
            half = halves.get((subject, mode))
            if edge is None or half is None:
                continue
            bound = "" if edge.is_known else ">= "
            reason = "" if edge.is_known else "the generator was the limit"
            found.append(
                (
                    mode,
                    NAMES[subject],
                    f"{bound}{number(edge.per_s)}",
                    number(half.offered_per_s),
                    number(half.ms("p50")),
                    number(half.ms("p99")),
                    reason,
                )
            )
    columns = ("Mode", "Subject", "Saturated at", "Half", "p50, ms", "p99, ms", "")
    return Table(columns, tuple(found)) if found else None


def held(rows: Rows) -> Table | None:
    """The targets; None when this run measured none."""
    lines = tuple(
        (
            each.what,
            f"<= {amount(each.bound, each.unit)}",
            amount(each.value, each.unit),
            f"{number(min(each.samples))} to {number(max(each.samples))}",
            _verdict(each),
        )
        for each in targets(rows)
    )
    return Table(("Target", "Bound", "Measured", "Rounds", "Held"), lines) if lines else None


def _verdict(target: Target) -> str:
    if not target.is_judged:
        return "no verdict: the generator was the limit"
    return "yes" if target.is_held else "no"


def _place(point: Point) -> tuple[int, float]:
    return ("lone", "rate", "half").index(point.kind), point.offered_per_s * (point.kind == "rate")


def _row(point: Point) -> tuple[str, ...]:
    kinds = {"lone": "lone", "half": f"half, {number(point.offered_per_s)}/s"}
    carried = number(point.achieved_per_s) if point.offered_per_s else ""
    return (
        kinds.get(point.kind, f"{number(point.offered_per_s)}/s"),
        NAMES[point.subject],
        *(number(point.ms(name)) for name in _QUANTILES),
        carried + (" saturated" if point.is_saturated else ""),
        number(point.late_p99_ms),
        f"{point.generator_core_share:.0%}",
    )
