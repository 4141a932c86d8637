"""The report of `causeway bench throughput`, from its JSON document alone. Called by `report`."""

from bench.report.model import Document, Figure, Section
from bench.report.plots import Line, curves, grouped_bars
from bench.throughput import tables
from bench.throughput.ratios import (
    Key,
    Row,
    base,
    cpu,
    keys,
    rate,
    rows_of,
    spread,
    subjects,
    targets,
)

ABOUT_CPU = (
    "CPU time of all the server's processes, user and system, divided by the stanzas handed over;"
    " in echo each stanza counts twice, in and out. in: remote servers send, components receive."
    " out: the other way. A number behind the mode is that of the domain pairs. Medians of the"
    " rounds; whiskers show the least and the most."
)
ABOUT_HAPROXY = (
    "haproxy relays the same octets with TLS on both sides and reads none of them;"
    " haproxy-terminate has TLS outside and plaintext inside."
)


def sections(document: Document) -> list[Section]:
    """Targets, bars, sweeps, and all figures."""
    rows = rows_of(document)
    return [
        *_target_section(document),
        Section("CPU per stanza", _about(rows), _bars(document, "CPU per stanza")),
        Section("Stanzas per second", tables.WITHHELD, _rate_bars(document)),
        *_sweep(rows, 1, "Size of a stanza", "octets"),
        *_pairs_sweep(rows),
        *_sweep(rows, 2, "Acceptors", "acceptor processes"),
        Section("All figures", _sent(document), table=tables.figures(document)),
    ]


def figures(document: Document) -> list[Figure]:
    """CPU per stanza and stanzas per second of every cell: those of this router first."""
    rows = rows_of(document)
    found: list[Figure] = []
    for name in subjects(rows):
        for each in keys(rows):
            words = f"{name}: {tables.cell_name(each, rows)}"
            if (used := spread(rows, name, each, cpu)) is not None:
                found.append(Figure(words, used.median, "µs/stanza", used.samples))
            if (speed := spread(rows, name, each, rate)) is not None:
                figure = Figure(f"{words}, rate", speed.median, "stanzas/s", speed.samples, False)
                found.append(figure)
    return found


def _about(rows: list[Row]) -> str:
    has_relay = any(name.startswith("haproxy") for name in subjects(rows))
    return f"{ABOUT_CPU}\n\n{ABOUT_HAPROXY}" if has_relay else ABOUT_CPU


def _target_section(document: Document) -> list[Section]:
    found = targets(document)
    if not found:
        return []
    held = sum(each.is_held for each in found)
    text = (
        f"{held} of {len(found)} targets are held. Ratios are computed within a round; shown are"
        " their median and their range."
    )
    return [Section("Targets", text, table=tables.target_table(document))]


def _bars(document: Document, title: str) -> str:
    rows = rows_of(document)
    groups: dict[str, dict[str, float]] = {}
    whiskers: dict[str, dict[str, tuple[float, float]]] = {}
    for each in base(rows):
        for name in subjects(rows):
            if (used := spread(rows, name, each, cpu)) is not None:
                groups.setdefault(each[0], {})[name] = used.median
                whiskers.setdefault(each[0], {})[name] = (used.low, used.high)
    several = len(subjects(rows)) > 1
    return grouped_bars(title, groups, "µs", log=several, spread=whiskers)


def _rate_bars(document: Document) -> str:
    rows = rows_of(document)
    groups: dict[str, dict[str, float]] = {}
    for each in base(rows):
        for name in subjects(rows):
            if (speed := spread(rows, name, each, rate)) is not None:
                groups.setdefault(each[0], {})[name] = speed.median
    several = len(subjects(rows)) > 1
    return grouped_bars("Stanzas per second", groups, "stanzas/s", log=several)


def _sweep(rows: list[Row], place: int, title: str, x_label: str) -> list[Section]:
    """CPU over one part of the key, the other parts as in the first cell."""
    first = keys(rows)[0]
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for each in keys(rows):
        if each[3 - place] == first[3 - place]:
            _add(lines, rows, each, each[0], float(each[place]))
    return _curves(lines, title, x_label)


def _pairs_sweep(rows: list[Row]) -> list[Section]:
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    row_of = {(row["mode"], row["size_bytes"], row["acceptors"]): row for row in rows}
    for each in base(rows):
        _add(lines, rows, each, row_of[each]["direction"], float(row_of[each]["pairs"]))
    return _curves(lines, "Domain pairs", "domain pairs, a stream each")


def _add(
    lines: dict[tuple[str, str], list[tuple[float, float]]],
    rows: list[Row],
    each: Key,
    mode: str,
    x: float,
) -> None:
    for name in subjects(rows):
        if (used := spread(rows, name, each, cpu)) is not None:
            lines.setdefault((name, mode), []).append((x, used.median))


def _curves(
    lines: dict[tuple[str, str], list[tuple[float, float]]], title: str, x_label: str
) -> list[Section]:
    """Nothing where no line has more than one or two points."""
    enough = {who: points for who, points in lines.items() if len(points) > 1}
    if not enough:
        return []
    modes = list(dict.fromkeys(mode for _, mode in enough))
    drawn = [
        Line(f"{name} {mode}", points, subject=name, dashes=modes.index(mode))
        for (name, mode), points in enough.items()
    ]
    several = len({name for name, _ in enough}) > 1 or title.startswith("Size")
    svg = curves(title, drawn, x_label, "CPU µs/stanza", log_x=True, log_y=several)
    return [Section(title, "", svg)]


def _sent(document: Document) -> str:
    """What a stanza of each size was."""
    sent = document["settings"].get("sent", {})
    return "\n\n".join(f"{size} octets: {text}" for size, text in sent.items())
