"""The report of `bench bidi`, from its document."""

from dataclasses import replace
from math import isfinite
from typing import Final

from bench.bidi import tables
from bench.bidi.savings import (
    BYTES,
    CONNECTIONS,
    CPU,
    FIRST_P50,
    HANDSHAKES,
    MEMORY,
    PACKETS,
    Comparison,
    comparisons,
)
from bench.bidi.words import AUTHS, between, count, proof, shared, where
from bench.report import plots
from bench.report.model import Document, Figure, Section

USUAL_PAIRS: Final = 50

_COMPARED: Final = (CONNECTIONS, BYTES, CPU, MEMORY, FIRST_P50)
_IN_BARS: Final = (CONNECTIONS, HANDSHAKES, PACKETS, BYTES, CPU, MEMORY, FIRST_P50)


def sections(document: Document) -> list[Section]:
    """In words, a picture for each way to prove a domain, over distance, over pairs, all of it."""
    found = comparisons(document["results"])
    usual = [each for each in found if _is_usual(each, found)]
    auths = dict.fromkeys(each.cell.auth for each in usual)
    return [
        Section("What one connection for both directions saves", _in_words(document, usual)),
        *(_bars(auth, [each for each in usual if each.cell.auth == auth]) for auth in auths),
        *_over_distance(found),
        *_over_pairs(found),
        Section("Everything", _HOW_TO_READ, table=tables.everything(found)),
    ]


def figures(document: Document) -> list[Figure]:
    """What is saved in the cells of the pictures, and what it takes there with bidi."""
    measured = comparisons(document["results"])
    usual = [each for each in measured if _is_usual(each, measured)]
    saved = [
        Figure(
            f"{quantity.name} saved: {where(each.cell)}",
            each.saved_percent(quantity),
            "%",
            each.saved_by_round(quantity),
            lower_is_better=False,
        )
        for each in usual
        for quantity in _COMPARED
        if isfinite(each.saved_percent(quantity))
    ]
    taken = [
        Figure(
            f"{quantity.name}, a pair: {where(each.cell)}, with bidi",
            each.values(quantity)[1],
            quantity.unit,
            tuple(map(quantity.of, each.on)),
        )
        for each in usual
        for quantity in _COMPARED
        if isfinite(each.values(quantity)[1])
    ]
    return saved + taken


# --- what is shown in pictures ---


def _is_usual(each: Comparison, among: list[Comparison]) -> bool:
    """At the least distance, answered, and with about as many pairs as a server has at a start."""
    pairs = {it.cell.pairs for it in among}
    return (
        each.cell.mix == "request"
        and each.cell.rtt_ms == min(it.cell.rtt_ms for it in among)
        and each.cell.pairs == (USUAL_PAIRS if USUAL_PAIRS in pairs else max(pairs))
    )


def _bars(auth: str, shown: list[Comparison]) -> Section:
    groups = {
        quantity.name: {
            between(each.cell) + shared(each.cell): _whole(each.saved_percent(quantity))
            for each in shown
        }
        for quantity in _IN_BARS
    }
    title = f"Saved with {AUTHS[auth]}, {shown[0].cell.pairs} pairs at once"
    text = "In percent of what the same takes without bidi. Below 0: it takes more with it."
    return Section(title, text, plots.grouped_bars(title, groups, "%"))


def _whole(percent: float) -> float:
    """Tenths of a percent are noise."""
    return round(percent) if isfinite(percent) else percent


def _over_distance(found: list[Comparison]) -> list[Section]:
    """The fewest pairs, so that the servers' computing is not what is waited for."""
    asked = [each for each in found if each.cell.mix == "request"]
    if len({each.cell.rtt_ms for each in asked}) < 2:
        return []
    fewest = min(each.cell.pairs for each in asked)
    asked = [each for each in asked if each.cell.pairs == fewest]
    result = []
    for auth in dict.fromkeys(each.cell.auth for each in asked):
        shown = [each for each in asked if each.cell.auth == auth]
        lines = []
        for way, index in (("off", 0), ("on", 1)):
            for cell in dict.fromkeys(replace(each.cell, rtt_ms=0) for each in shown):
                points = [
                    (each.cell.rtt_ms, each.values(FIRST_P50)[index])
                    for each in shown
                    if replace(each.cell, rtt_ms=0) == cell
                ]
                name = between(cell) + shared(cell)
                lines.append(plots.Line(f"{name}, {way}", points, name, 1 - index))
        title = f"Time to the first reply with {AUTHS[auth]}, {count(fewest)} at a time"
        drawn = plots.curves(title, lines, "round trip, ms", "first reply, p50, ms")
        text = (
            "From a stanza for a domain without a connection to its answer; dashed: without bidi."
            " Round trips are what the time grows by with the distance."
        )
        result.append(Section(title, text, drawn, tables.over_distance(shown)))
    return result


def _over_pairs(found: list[Comparison]) -> list[Section]:
    """Whether the saving depends on how many pairs there are."""
    asked = [each for each in found if each.cell.mix == "request"]
    nearest = min((each.cell.rtt_ms for each in asked), default=0)
    asked = [each for each in asked if each.cell.rtt_ms == nearest]
    if len({each.cell.pairs for each in asked}) < 2:
        return []
    drawings: list[Section] = []
    for quantity in (CONNECTIONS, CPU):
        lines = [
            plots.Line(
                f"{between(cell)}, {proof(cell)}",
                [
                    (each.cell.pairs, each.saved_percent(quantity))
                    for each in asked
                    if replace(each.cell, pairs=1) == cell
                ],
                f"{between(cell)}{shared(cell)}",
                int(cell.auth == "dialback"),
            )
            for cell in dict.fromkeys(replace(each.cell, pairs=1) for each in asked)
        ]
        title = f"{quantity.name[0].upper()}{quantity.name[1:]} saved, over the number of pairs"
        drawn = plots.curves(title, lines, "pairs", "saved, %", log_x=True)
        drawings.append(Section(title, "Dashed: dialback.", drawn))
    return drawings


# --- in words ---

_HOW_TO_READ: Final = (
    "Each column is bidi off → bidi on, for all pairs together unless it says otherwise; medians of"
    " the rounds. Packets and bytes are those of both directions, as the kernel counts them"
    " (TCP_INFO), in segments as large as Ethernet's, with 52 octets of header each. CPU is of both"
    " servers, from the first stanza until nothing moved. Memory is what both have grown by (PSS)."
    " A dash: withheld, for the generator was as busy as what it timed, or nothing to compare."
)


def _in_words(document: Document, usual: list[Comparison]) -> str:
    how = ", ".join(dict.fromkeys(row["distance"] for row in document["results"]))
    if reason := document["settings"].get("why_no_netem"):
        how += f": {reason}"
    shape = (
        "Each pair is a domain of the first server and one of the second, in no other pair. All"
        " speak for the first time at once, with no connection between the servers; each message is"
        f" answered. Round trips were simulated ({how})."
    )
    return "\n\n".join([shape, *map(_sentence, usual)])


def _sentence(each: Comparison) -> str:
    off, on = (round(value * each.cell.pairs) for value in each.values(CONNECTIONS))
    words = ", ".join(
        f"{_less(each.saved_percent(quantity))} {name}"
        for quantity, name in (
            (BYTES, "on the wire"),
            (CPU, "CPU"),
            (MEMORY, "memory"),
            (FIRST_P50, "time to the first reply"),
        )
        if isfinite(each.saved_percent(quantity))
    )
    return (
        f"{between(each.cell)} by {proof(each.cell)}, {count(each.cell.pairs)}: {on:,} TCP"
        f" connections with bidi instead of {off:,}; {words}."
    )


def _less(percent: float) -> str:
    return f"{percent:.0f} % less" if percent >= 0 else f"{-percent:.0f} % more"
