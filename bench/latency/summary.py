"""What the rows of a document say: medians over the rounds, saturation, and the targets.

Works on the JSON rows of `measure.as_rows`, so that a kept document is read as a new one is. Called
by `tables` and `page`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any, Final

from bench.latency.distribution import SHARES

Rows = Sequence[Mapping[str, Any]]

OURS: Final = ("causeway", "causeway-pinned")
PEERS: Final = ("prosody", "ejabberd")
TARGET_RATE_PER_S: Final = 2000.0
MOST_TIMES: Final = 2.0
MOST_AT_HALF_MS: Final = 20.0
NAMES: Final = {
    "causeway": "Causeway",
    "causeway-pinned": "Causeway, pinned",
    "causeway-pure": "Causeway, pure reader",
    "prosody": "Prosody",
    "ejabberd": "ejabberd",
    "haproxy": "HAProxy, relaying",
    "generator": "generator alone",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One subject, mode, kind and rate over all rounds; medians, and `samples_ms` round by round.

    Milliseconds by the names of `SHARES`. Of a lone stanza the rates are 0.
    """

    subject: str
    mode: str
    kind: str
    offered_per_s: float
    achieved_per_s: float
    samples_ms: dict[str, tuple[float, ...]]
    late_p99_ms: float
    generator_core_share: float
    is_saturated: bool
    """In more than half of the rounds."""
    is_generator_limited: bool
    """In any round: what was measured may be the generator."""

    def ms(self, name: str) -> float:
        """The median over the rounds."""
        return median(self.samples_ms[name])


@dataclass(frozen=True, slots=True)
class Saturation:
    """The highest rate that was carried, per round. `is_known` is False where none failed before
    the generator was at its own limit: the rate is a lower bound then."""

    samples_per_s: tuple[float, ...]
    is_known: bool

    @property
    def per_s(self) -> float:
        """The median over the rounds."""
        return median(self.samples_per_s)


@dataclass(frozen=True, slots=True)
class Target:
    """One bound and what was measured: the median of the rounds, the least and the most.

    Not `is_judged` where the generator may be what was measured.
    """

    what: str
    bound: float
    unit: str
    samples: tuple[float, ...]
    is_judged: bool = True

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return median(self.samples)

    @property
    def is_held(self) -> bool:
        """Whether the median is within the bound."""
        return self.value <= self.bound


def points(rows: Rows) -> list[Point]:
    """Lone stanzas, rates and halves, in the order of the first round; probes are left out."""
    groups: dict[tuple[str, str, str, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["kind"] != "probe" and row["latency"]["count"]:
            rate = row["offered_per_s"] if row["kind"] == "rate" else 0.0
            groups.setdefault((row["subject"], row["mode"], row["kind"], rate), []).append(row)
    return [_point(group) for group in groups.values()]


def _point(group: Rows) -> Point:
    first = group[0]
    return Point(
        subject=first["subject"],
        mode=first["mode"],
        kind=first["kind"],
        offered_per_s=median(row["offered_per_s"] for row in group),
        achieved_per_s=median(row["achieved_per_s"] for row in group),
        samples_ms={
            name: tuple(row["latency"]["quantiles_us"][name] / 1000 for row in group)
            for name in SHARES
        },
        late_p99_ms=median(row["late"]["quantiles_us"]["p99"] for row in group) / 1000,
        generator_core_share=median(row["generator_core_share"] for row in group),
        is_saturated=2 * sum(row["is_saturated"] for row in group) > len(group),
        is_generator_limited=any(row["is_generator_limited"] for row in group),
    )


def saturation(rows: Rows, subject: str, mode: str) -> Saturation | None:
    """Where it lies; None when nobody looked for it."""
    rounds: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        if (row["subject"], row["mode"]) == (subject, mode) and row["kind"] in ("rate", "probe"):
            rounds.setdefault(row["round"], []).append(row)
    if not any(row["kind"] == "probe" for each in rounds.values() for row in each):
        return None
    edges = [_edge(each) for each in rounds.values()]
    return Saturation(tuple(held for held, _ in edges), all(known for _, known in edges))


def _edge(rows: Rows) -> tuple[float, bool]:
    """The highest rate carried below the lowest that was not, and whether there was such a one."""
    carried = {row["offered_per_s"] for row in rows if not row["is_saturated"]}
    failed = {
        row["offered_per_s"]
        for row in rows
        if row["kind"] == "probe" and row["is_saturated"] and not row["is_generator_limited"]
    } - carried
    lowest = min(failed, default=float("inf"))
    return max((rate for rate in carried if rate < lowest), default=0.0), bool(failed)


def targets(rows: Rows) -> list[Target]:
    """The bounds of the design on what this document holds of it."""
    found = []
    for mode, ours in product(modes(rows), OURS):
        where = mode if ours == OURS[0] else f"{NAMES[ours]}: {mode}"
        for kind, rate in (("lone", 0.0), ("rate", TARGET_RATE_PER_S)):
            for name in ("p50", "p99"):
                if ratios := _ratios(rows, ours, mode, kind, rate, name):
                    load = "a lone stanza" if kind == "lone" else f"{rate:,.0f}/s"
                    what = f"{where}, {load}: {name}, times the better peer's"
                    found.append(Target(what, MOST_TIMES, "x", ratios))
        for point in points(rows):
            if (point.subject, point.mode, point.kind) == (ours, mode, "half"):
                what = f"{where}, half of saturation: p99"
                is_judged, p99_ms = not point.is_generator_limited, point.samples_ms["p99"]
                found.append(Target(what, MOST_AT_HALF_MS, "ms", p99_ms, is_judged))
    return found


def _ratios(
    rows: Rows, ours: str, mode: str, kind: str, rate: float, name: str
) -> tuple[float, ...]:
    """Ours by the better of the peers in the same round; nothing where one of the two is missing.

    A peer that was saturated there is no measure.
    """
    chosen = [
        row
        for row in rows
        if (row["mode"], row["kind"], row["offered_per_s"]) == (mode, kind, rate)
        and row["latency"]["count"]
    ]
    found = []
    for number in sorted({row["round"] for row in chosen}):
        us = {row["subject"]: row for row in chosen if row["round"] == number}
        peers = [us[peer] for peer in PEERS if peer in us and not us[peer]["is_saturated"]]
        if ours in us and peers:
            best = min(row["latency"]["quantiles_us"][name] for row in peers)
            found.append(us[ours]["latency"]["quantiles_us"][name] / best)
    return tuple(found)


def subjects(rows: Rows) -> list[str]:
    """Ours first, the floors last."""
    order = list(NAMES)
    return sorted({row["subject"] for row in rows}, key=order.index)


def modes(rows: Rows) -> list[str]:
    """In the order they were measured."""
    return list(dict.fromkeys(row["mode"] for row in rows))
