"""The report of `bench idle`, from its document."""

from bench.idle import tables
from bench.report import plots
from bench.report.amounts import number
from bench.report.model import Document, Figure, Section
from bench.report.plots import Line

_DIALLED = (
    "Medians of the rounds. Dialback makes the server dial the domain's authoritative server; what"
    " it keeps open of that is in the memory of the stream."
)
_FIGURES = (
    ("streams set up per CPU second", tables.per_cpu_s, "", False),
    ("KiB per idle stream (PSS)", tables.pss_kib, "KiB", True),
    ("KiB per idle stream (RSS)", tables.rss_kib, "KiB", True),
    ("idle server", tables.idle_percent, "%", True),
    ("closing one stream", tables.closing_us, "µs", True),
    ("kept after all are closed", tables.kept_mib, "MiB", True),
)


def sections(document: Document) -> list[Section]:
    """Set-up, memory, the line of memory over streams, rest and end, then everything."""
    text = (
        "Streams per CPU second of all the server's processes, from the TCP connection to the proof"
        " of the domain: STARTTLS, the TLS handshake with certificates on both sides where they are"
        " the proof, and SASL EXTERNAL or dialback. Every stream comes from a domain of its own."
    )
    memory = (
        "Memory of all the server's processes with all streams standing, less what it held before"
        " the first, divided by the streams. Pages of the kernel's sockets are not in it."
    )
    return [
        Section("Setting streams up", text, _bars(document, tables.per_cpu_s, "streams/CPU s")),
        Section("Holding a stream", memory, _memory(document)),
        Section("Memory over streams", _growth(document), _line(document)),
        Section("While nothing happens", "", _bars(document, tables.idle_percent, "%")),
        Section("Targets", table=tables.targets(document)),
        Section("Set-up in figures", "Medians of the rounds.", table=tables.set_up(document)),
        Section("Memory in figures", _DIALLED, table=tables.holding(document)),
    ]


def figures(document: Document) -> list[Figure]:
    """Of every server and proof, each with its rounds; our own first."""
    cells = sorted(tables.cells(document), key=lambda cell: cell[0] != tables.OURS)
    return [
        Figure(
            f"{name}, {subject}, {auth}",
            tables.typical(document, (subject, auth), figure),
            unit,
            tuple(map(figure, tables.rows_of(document, (subject, auth)))),
            lower_is_better,
        )
        for subject, auth in cells
        for name, figure, unit, lower_is_better in _FIGURES
    ]


def _groups(document: Document, figure: tables.Figure) -> dict[str, dict[str, float]]:
    groups: dict[str, dict[str, float]] = {}
    for subject, auth in tables.cells(document):
        groups.setdefault(auth, {})[subject] = tables.typical(document, (subject, auth), figure)
    return groups


def _spread(document: Document, figure: tables.Figure) -> dict[str, dict[str, tuple[float, float]]]:
    spread: dict[str, dict[str, tuple[float, float]]] = {}
    for subject, auth in tables.cells(document):
        values = [figure(row) for row in tables.rows_of(document, (subject, auth))]
        spread.setdefault(auth, {})[subject] = (min(values), max(values))
    return spread


def _bars(document: Document, figure: tables.Figure, unit: str) -> str:
    title = f"{unit}, by proof and server"
    return plots.grouped_bars(
        title, _groups(document, figure), unit, spread=_spread(document, figure)
    )


def _memory(document: Document) -> str:
    return plots.grouped_bars(
        "Memory for each idle stream",
        _groups(document, tables.pss_kib),
        "KiB",
        limit=(f"target, {tables.MOST_KIB:g} KiB", tables.MOST_KIB),
        spread=_spread(document, tables.pss_kib),
    )


def _line(document: Document) -> str:
    several = len({auth for _, auth in tables.cells(document)}) > 1
    lines = [
        Line(
            f"{subject}, {auth}" if several else subject,
            tables.line(document, (subject, auth)),
            subject=subject,
            dashes=int(auth != "external"),
        )
        for subject, auth in tables.cells(document)
    ]
    return plots.curves("Memory held over streams", lines, "streams that stand", "MiB")


def _growth(document: Document) -> str:
    """Whether the cost of a stream depends on how many there are."""
    sentences = []
    for cell in tables.cells(document):
        points = tables.line(document, cell)[1:]
        each = [f"{number(mib * tables.KIB / streams)}" for streams, mib in points]
        sentences.append(f"{cell[0]} ({cell[1]}): {', '.join(each)} KiB each.")
    stops = ", ".join(f"{int(streams):,}" for streams, _ in points)
    return f"At {stops} streams. " + " ".join(sentences)
