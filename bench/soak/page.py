"""The report of a soak, from its document alone: the account, memory and throughput over time."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from bench.report import plots
from bench.report.amounts import amount, number
from bench.report.model import Document, Figure, Section, Table

Row = Mapping[str, Any]


def sections(document: Document) -> list[Section]:
    """The verdict and the account, then the curves."""
    row = document["results"]
    times = [each["at_s"] for each in row["moments"]]
    pss = plots.Line("PSS", [(it["at_s"], it["pss_mib"]) for it in row["moments"]])
    rss = plots.Line("RSS", [(it["at_s"], it["rss_mib"]) for it in row["moments"]])
    rates = plots.Line("settled", _rates(row))
    return [
        Section("Every stanza's outcome", verdict(row), table=account(row)),
        Section(
            "Memory",
            f"All processes of the node together. PSS counts a shared page once, and moves when"
            f" other programs begin or cease to share it. Over the last two thirds of"
            f" {number(times[-1])} s RSS changed by"
            f" {amount(row['growth_kib_per_s'], 'KiB')} a second.",
            plots.curves("Memory over time", [rss, pss], "s", "MiB"),
        ),
        Section(
            "Throughput",
            "Stanzas and answers whose outcome became known, per second.",
            plots.curves("Throughput over time", [rates], "s", "stanzas/s"),
        ),
    ]


def figures(document: Document) -> list[Figure]:
    """Loss first, then growth and cost."""
    row = document["results"]
    found = row["findings"]
    pss = tuple(each["pss_mib"] for each in row["moments"])
    rates = tuple(rate for _, rate in _rates(row))
    return [
        Figure("lost stanzas", found["lost"] - found["lost_answers"], ""),
        Figure("memory growth", row["growth_kib_per_s"], "KiB/s"),
        Figure("memory at the end (PSS)", pss[-1], "MiB", pss[len(pss) // 2 :]),
        Figure("stanzas settled", _mean(rates), "stanzas/s", rates, lower_is_better=False),
        Figure("CPU of the node", row["node_core_share"] * 100, "% of a core"),
    ]


def account(row: Row) -> Table:
    """Outcomes as the generator saw them, and as the node counted them."""
    found, books = row["findings"], row["books"]
    seen = [
        ("sent, answers included", found["sent"], books["taken_in"]),
        ("delivered", found["delivered"], books["outcomes"]["handed"]),
        ("bounced", found["bounced"], books["outcomes"]["bounced"]),
        ("answers lost where none may be bounced", found["lost_answers"], _unbounceable(books)),
        ("lost", found["lost"] - found["lost_answers"], ""),
        ("more than one outcome", found["doubled"], ""),
        ("out of order", found["reordered"], ""),
        ("never sent", found["strange"], ""),
        ("filtered, or answered by the node", "", _rest(books)),
        ("in flight at rest", "", books["in_flight"]),
    ]
    return Table(
        ("Stanzas", "Generator", "Node"),
        tuple((name, _cell(ours), _cell(theirs)) for name, ours, theirs in seen),
    )


def verdict(row: Row) -> str:
    """In one sentence or two."""
    closed = f"{row['streams_closed']} streams closed and came back"
    again = f"{row['components_reattached']} components attached anew"
    books = "balance" if row["balance"] else "do not balance"
    good = "Every stanza has exactly one outcome" if row["is_good"] else "Something is wrong"
    shares = (row["node_core_share"], row["generator_core_share"])
    cores = f"the node used {shares[0]:.0%} of a core, the generator {shares[1]:.0%}"
    return (
        f"{good}; the node's own books {books}. {closed}, {again}; {cores}."
        f" Memory changed by {amount(row['growth_kib_per_s'], 'KiB')} a second."
    )


def _rates(row: Row) -> list[tuple[float, float]]:
    """Outcomes per second between two samples, at the later one's time."""
    return [
        (later["at_s"], (later["settled"] - sooner["settled"]) / (later["at_s"] - sooner["at_s"]))
        for sooner, later in pairwise(row["moments"])
    ]


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values) if values else 0.0


def _unbounceable(books: Row) -> int:
    return int(books["outcomes"]["unbounceable"])


def _rest(books: Row) -> int:
    return int(books["outcomes"]["filtered"] + books["outcomes"]["answered"])


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else ""
