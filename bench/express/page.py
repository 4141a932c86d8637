"""The report of `bench express`, from its document."""

from typing import Final

from bench.express import tables
from bench.express.tables import Cell
from bench.report import plots
from bench.report.model import Document, Figure, Section

ABOUT: Final = (
    "Two Prosodys federate, under the limits of their own configuration (30 kB/s from another"
    " server) and without. Ordinary: components of the two speak to each other. In band and over"
    " SOCKS5: each Prosody has a router as its component, and the same two domains speak through an"
    " express lane between the routers, TLS inside."
)
ABOUT_CPU: Final = (
    "CPU time of both Prosodys and both routers with all their processes, per message, less what"
    " they use at rest. Under the limits it is that of messages that trickle."
)
ABOUT_TABLE: Final = (
    "Medians of the rounds. Times: the rate, of the ordinary way's under the same limits. CPU in"
    " microseconds per message, of all, and of the routers and the Prosodys apart. Load: what the"
    " generator took of a core."
)


def sections(document: Document) -> list[Section]:
    """The bound, rates, CPU by who used it, everything, and what is missing."""
    missing = tables.left_out(document)
    return [
        Section("Messages per second", f"{ABOUT}\n\n{_sentence(document)}", _rates(document)),
        Section("CPU per message", ABOUT_CPU, _cpu(document)),
        Section("All figures", ABOUT_TABLE, table=tables.figures(document)),
        *([Section("Left out", table=missing)] if missing.rows else []),
    ]


def figures(document: Document) -> list[Figure]:
    """What the bound is about first; gains, then rate and CPU of every cell."""
    cells = sorted(tables.cells(document), key=lambda each: each != tables.BOUND)
    found = []
    for each in cells:
        if (gain := tables.gain(document, each, tables.rate)) is not None:
            words = f"{_name(each)}, of the ordinary way"
            found.append(Figure(words, gain.median, "x", gain.samples, False))
    for each in cells:
        rate = tables.spread(document, each, tables.rate)
        cpu = tables.spread(document, each, tables.cpu)
        name = _name(each)
        found.append(Figure(f"{name}, rate", rate.median, "messages/s", rate.samples, False))
        found.append(Figure(f"{name}, CPU", cpu.median, "µs/message", cpu.samples))
    return found


def _sentence(document: Document) -> str:
    text = tables.verdict(document)
    return f"{text[0].upper()}{text[1:]}."


def _name(each: Cell) -> str:
    limits, way = each
    return f"{way}, limits: {limits}"


def _rates(document: Document) -> str:
    groups: dict[str, dict[str, float]] = {}
    whiskers: dict[str, dict[str, tuple[float, float]]] = {}
    for each in tables.cells(document):
        limits, way = each
        rate = tables.spread(document, each, tables.rate)
        groups.setdefault(f"limits: {limits}", {})[way] = rate.median
        whiskers.setdefault(f"limits: {limits}", {})[way] = (rate.low, rate.high)
    return plots.grouped_bars(
        "Messages per second", groups, "messages/s", log=True, spread=whiskers
    )


def _cpu(document: Document) -> str:
    stacks = {
        _name(each): {
            # Less than at rest is rest.
            name: max(0.0, tables.spread(document, each, tables.part(name)).median)
            for name in tables.PARTS
        }
        for each in tables.cells(document)
    }
    return plots.stacked("CPU per message", stacks, "µs")
