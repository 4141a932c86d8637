"""The report of a latency run, from its document alone: curves over load, quantiles, targets."""

from collections.abc import Iterable
from typing import Final

from bench.latency.distribution import PER_OCTAVE, added
from bench.latency.measure import FLOOR
from bench.latency.summary import (
    MOST_AT_HALF_MS,
    NAMES,
    OURS,
    TARGET_RATE_PER_S,
    Point,
    Rows,
    modes,
    points,
    saturation,
    subjects,
    targets,
)
from bench.latency.tables import edges, held, latencies
from bench.report import plots
from bench.report.amounts import number
from bench.report.model import Document, Figure, Section

CURVES: Final = ("p50", "p99", "p99.9")
WAYS: Final = {
    "in": "from a remote server to a component",
    "out": "from a component to a remote server",
    "echo": "from a remote server to a component and back",
}


def sections(document: Document) -> list[Section]:
    """The targets, then each mode: over load, by quantile, and every figure."""
    rows: Rows = document["results"]
    found = []
    if (table := held(rows)) is not None:
        found.append(Section("Targets", _target_words(), table=table))
    if (table := edges(rows)) is not None:
        found.append(Section("Saturation", _edge_words(), table=table))
    for mode in modes(rows):
        found += _of_mode(rows, mode, document["settings"]["rounds"])
    return [*found, Section("How it was measured", _method(document))]


def figures(document: Document) -> list[Figure]:
    """Lone and at the target's rate first, then the ratios, then the rest of ours."""
    rows: Rows = document["results"]
    ours = [point for point in points(rows) if point.subject == OURS[0]]
    first = [it for it in ours if it.kind == "lone" or it.offered_per_s == TARGET_RATE_PER_S]
    rest = [point for point in ours if point not in first]
    found = [_figure(point, name) for point in first for name in ("p50", "p99")]
    for target in targets(rows):
        if target.unit == "x":
            found.append(Figure(target.what, target.value, "x", target.samples))
    found += [_figure(point, name) for point in rest for name in ("p50", "p99")]
    for mode in modes(rows):
        if (edge := saturation(rows, OURS[0], mode)) is not None:
            name = f"{mode}: saturated at"
            found.append(
                Figure(name, edge.per_s, "stanzas/s", edge.samples_per_s, lower_is_better=False)
            )
    return found


def _of_mode(rows: Rows, mode: str, rounds: int) -> list[Section]:
    loaded = [point for point in points(rows) if point.mode == mode and point.kind != "lone"]
    chosen = [point for point in loaded if point.kind == "rate"]
    found = []
    for name in CURVES if len({point.offered_per_s for point in chosen}) > 1 else ():
        title = f"{mode}: {name} over offered load"
        lines = [_curve(rows, loaded, subject, mode, name) for subject in subjects(rows)]
        svg = plots.curves(title, lines, "stanzas offered a second", "ms", log_x=True, log_y=True)
        found.append(Section(title, WAYS[mode].capitalize() + ".", svg))
    for kind, rate, load in (("lone", 0.0, "a lone stanza"), _middle(chosen)):
        title = f"{mode}: quantiles, {load}"
        if lines := list(_quantile_lines(rows, mode, kind, rate)):
            svg = plots.curves(title, lines, "1 in so many is slower", "ms", log_x=True, log_y=True)
            found.append(Section(title, "All rounds together.", svg))
    words = (
        f"Milliseconds, medians of {rounds} rounds. Carried: stanzas a second that arrived. Late"
        " p99: how long after it was due a stanza was written, the generator's own delay, which"
        " every figure contains. Generator: its share of a core."
    )
    return [*found, Section(f"{mode}: every figure", words, table=latencies(rows, mode))]


def _curve(rows: Rows, loaded: Iterable[Point], subject: str, mode: str, name: str) -> plots.Line:
    edge = saturation(rows, subject, mode)
    return plots.Line(
        NAMES[subject],
        [(it.offered_per_s, it.ms(name)) for it in loaded if it.subject == subject],
        mark=edge.per_s if edge is not None and edge.is_known else None,
        mark_text="saturated",
    )


def _middle(chosen: Iterable[Point]) -> tuple[str, float, str]:
    """The rate of the target, or of those offered the one in the middle."""
    rates = sorted({point.offered_per_s for point in chosen})
    middle = rates[len(rates) // 2] if rates else 0.0
    rate = TARGET_RATE_PER_S if TARGET_RATE_PER_S in rates else middle
    return "rate", rate, f"{number(rate)}/s"


def _quantile_lines(rows: Rows, mode: str, kind: str, rate: float) -> Iterable[plots.Line]:
    """For each subject, over 1 / (1 - share): 2 is the median, 100 is p99."""
    for subject in subjects(rows):
        histogram = added(
            {int(bucket): count for bucket, count in row["latency"]["histogram"].items()}
            for row in rows
            if (row["subject"], row["mode"], row["kind"]) == (subject, mode, kind)
            and row["offered_per_s"] == rate
        )
        total, below, curve = sum(histogram.values()), 0, []
        for bucket, count in histogram.items():
            below += count
            if below < total:
                upper_ms = 2 ** ((bucket + 1) / PER_OCTAVE) / 1000
                curve.append((total / (total - below), upper_ms))
        if curve:
            yield plots.Line(NAMES[subject], curve)


def _figure(point: Point, name: str) -> Figure:
    loads = {"lone": "a lone stanza", "half": "half of saturation"}
    load = loads.get(point.kind, f"{number(point.offered_per_s)}/s")
    return Figure(f"{point.mode}, {load}: {name}", point.ms(name), "ms", point.samples_ms[name])


def _target_words() -> str:
    return (
        "Ratios are taken within a round, against the better of the peers there; the median of the"
        f" rounds decides. At half of saturation p99 stays below {MOST_AT_HALF_MS:g} ms."
    )


def _edge_words() -> str:
    return (
        "The highest rate that was carried: at least 95 % of what was offered arrived in time, and"
        " the latency did not rise by more than 20 ms a second. A rate has failed when it did so"
        " twice in succession."
    )


def _method(document: Document) -> str:
    noise = [row["others_cores"] for row in document["results"]]
    others = sum(noise) / len(noise) if noise else 0.0
    return (
        "A stanza's time counts from when the schedule has it due to when it arrives, by one clock:"
        " both ends are in the generator's process. The schedule waits for nobody, so a server that"
        " stands still is charged for all that was due meanwhile."
        f"\n\n{NAMES[FLOOR].capitalize()}: the same two ends joined by TLS with no server between."
        " The generator sleeps until a stanza is due: one that spins is 0.1 ms faster by itself,"
        " but on two cores takes one of them from the server, and lengthens what it measures."
        f"\n\nMeanwhile other programs kept {others:.2f} cores of this machine busy on average."
    )
