"""The report of `bench hostile`, from its document."""

from typing import Any

from bench.report import plots
from bench.report.amounts import number
from bench.report.model import Document, Figure, Section, Table
from bench.report.plots import Line

_LATENCIES = {"p50": "p50_ms", "p99": "p99_ms", "p99.9": "p99_9_ms", "worst": "worst_ms"}


def sections(document: Document) -> list[Section]:
    """What the ordinary stanzas noticed, what it cost the node, what the intruders met."""
    (run,) = document["results"]
    return [_ordinary(run), *_course(run), _node(run), _intruders(run)]


def figures(document: Document) -> list[Figure]:
    """One run has no rounds, so none of these has samples."""
    (run,) = document["results"]
    harmed = run["lost"] + run["duplicated"] + run["reordered"] + run["forged"]
    growth_mib = run["rss_after_mib"] - run["rss_before_mib"]
    return [
        Figure("ordinary stanzas harmed", harmed, ""),
        Figure("p99 in the flood, there and back", run["flooded"]["p99_ms"], "ms"),
        Figure("p99 in the calm before", run["calm"]["p99_ms"], "ms"),
        Figure("memory after, less before", growth_mib, "MiB"),
        Figure("worst in the flood", run["flooded"]["worst_ms"], "ms"),
    ]


def _ordinary(run: dict[str, Any]) -> Section:
    text = (
        f"{run['sent']:,} ordinary stanzas at {run['stanzas_per_s']:,} a second, there and back,"
        f" beside {run['made']:,} hostile connections at {run['connections_per_minute']:,} a"
        f" minute: {run['lost']} lost, {run['duplicated']} duplicated, {run['reordered']}"
        f" reordered, {run['forged']} forged ones delivered."
    )
    groups = {
        name: {part: run[part][key] for part in ("calm", "flooded")}
        for name, key in _LATENCIES.items()
    }
    picture = plots.grouped_bars("Latency of ordinary stanzas", groups, "ms", log=True)
    return Section("What ordinary stanzas noticed", text, picture)


def _course(run: dict[str, Any]) -> list[Section]:
    course = run.get("course", [])
    if not course:
        return []
    latency = [
        Line(name, [(each["at_s"], each[key]) for each in course])
        for name, key in (("p50", "p50_ms"), ("p99", "p99_ms"))
    ]
    memory = [Line("resident", [(each["at_s"], each["rss_mib"]) for each in course])]
    flood = f"The flood lasts {run['seconds']:g} s; then the last connections end."
    return [
        Section(
            "Latency in the flood",
            f"Each point is of the stanzas of one second. {flood}",
            plots.curves("Latency over time", latency, "s since the flood began", "ms", log_y=True),
        ),
        Section(
            "Memory in the flood",
            f"All processes of the node: {run['rss_before_mib']:.1f} MiB before,"
            f" {run['rss_peak_mib']:.1f} at the peak, {run['rss_after_mib']:.1f} after.",
            plots.curves("Memory over time", memory, "s since the flood began", "MiB"),
        ),
    ]


def _node(run: dict[str, Any]) -> Section:
    shares = {name: share * 100 for name, share in run["cpu_share"].items()}
    picture = plots.bars("CPU in the flood by process", shares, "%")
    return Section("CPU in the flood", "Per cent of a core, while connections are made.", picture)


def _intruders(run: dict[str, Any]) -> Section:
    rows = tuple(
        (
            kind.replace("_", " "),
            number(sum(ends.values())),
            ", ".join(f"{count} {end}" for end, count in sorted(ends.items())),
        )
        for kind, ends in run["connections"].items()
    )
    return Section("How the hostile ones ended", table=Table(("Kind", "Made", "Ended"), rows))
