"""The arithmetic of a result: medians over rounds, ratios within a round, targets held or not.

Works on the JSON document alone. Called by `tables` and `page`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.report.model import Document

GENERATOR_LIMIT: Final = 0.9
"""Share of a core from which the generator, not the server, may have set the rate."""

OURS: Final = ("causeway", "causeway-pure")
MAX_GROWTH: Final = 1.3
GATEWAY: Final = 1.3
"""CPU per stanza, to a server behind the router and to a component."""
MAX_OF_SECOND_ACCEPTOR: Final = 2 / 1.7
"""CPU per stanza, two acceptors to one: above it, two cores have not 1.7 times the capacity."""

Row = dict[str, Any]
Key = tuple[str, int, int]
"""Mode, octets of a stanza, acceptors."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """What is printed."""
        return median(self.samples)

    @property
    def low(self) -> float:
        """Of all rounds."""
        return min(self.samples)

    @property
    def high(self) -> float:
        """Of all rounds."""
        return max(self.samples)


def rows_of(document: Document) -> list[Row]:
    """The samples, in the order they were taken."""
    rows: list[Row] = document["results"]
    return rows


def key(row: Row) -> Key:
    """What rows of different servers must share to be compared."""
    return row["mode"], row["size_bytes"], row["acceptors"]


def keys(rows: Iterable[Row]) -> list[Key]:
    """Every key, in the order of the rows."""
    return list(dict.fromkeys(map(key, rows)))


def subjects(rows: Iterable[Row]) -> list[str]:
    """Every server that took part: ours first, the others by name."""
    found = {row["subject"] for row in rows}
    return [name for name in OURS if name in found] + sorted(found - {*OURS})


def base(rows: Iterable[Row]) -> list[Key]:
    """The cells that are no step of a sweep: those of the first size and number of acceptors."""
    found = keys(rows)
    return [each for each in found if each[1:] == found[0][1:]] if found else []


def cpu(row: Row) -> float:
    """Microseconds of a stanza."""
    return float(row["cpu_us"])


def rate(row: Row) -> float | None:
    """Stanzas per second; None where the generator took so much of a core that it may be its."""
    limited = row["generator_core_share"] >= GENERATOR_LIMIT
    return None if limited else float(row["per_second"])


def spread(
    rows: Iterable[Row], subject: str, of: Key, value: Callable[[Row], float | None]
) -> Spread | None:
    """A figure of one server in one cell; None when a round has none.

    A rate that was withheld in some rounds would else be the median of the slow ones.
    """
    found = [value(row) for row in rows if row["subject"] == subject and key(row) == of]
    kept = tuple(each for each in found if each is not None)
    return Spread(kept) if kept and len(kept) == len(found) else None


def ratio(
    rows: Iterable[Row],
    one: tuple[str, Key],
    other: tuple[str, Key],
    value: Callable[[Row], float | None],
) -> Spread | None:
    """`one` divided by `other`, round by round; None when no round has both."""
    rounds: dict[int, dict[tuple[str, Key], float]] = {}
    for row in rows:
        who = (row["subject"], key(row))
        figure = value(row)
        if who in (one, other) and figure:
            rounds.setdefault(row["round"], {})[who] = figure
    both = [found for found in rounds.values() if one in found and other in found]
    return Spread(tuple(found[one] / found[other] for found in both)) if both else None


@dataclass(frozen=True, slots=True)
class Target:
    """One bound of the design, and what this run says of it. `measured` is "at least" or "most"."""

    words: str
    where: str
    bound: float
    at_least: bool
    measured: Spread

    @property
    def is_held(self) -> bool:
        """By the median of the rounds."""
        middle = self.measured.median
        return middle >= self.bound if self.at_least else middle <= self.bound


_LESS_CPU: Final = (
    ("causeway", "ejabberd", 8.0),
    ("causeway", "prosody", 20.0),
    ("causeway-pure", "ejabberd", 3.0),
    ("causeway-pure", "prosody", 8.0),
)
_RELAY: Final = ("causeway", "haproxy", 8.0)
_FASTER: Final = ("causeway", "ejabberd", 3.0)


def targets(document: Document) -> list[Target]:
    """Every target that the run has figures for."""
    rows = rows_of(document)
    found: list[Target] = []

    def add(words: str, where: str, bound: float, at_least: bool, measured: Spread | None) -> None:
        if measured is not None:
            found.append(Target(words, where, bound, at_least, measured))

    for each in base(rows):
        mode = each[0]
        for ours, peer, times in _LESS_CPU:
            measured = ratio(rows, (peer, each), (ours, each), cpu)
            words = f"{peer}'s CPU per stanza is at least {times:g} x {ours}'s"
            add(words, mode, times, True, measured)
        ours, relay, times = _RELAY
        measured = ratio(rows, (ours, each), (relay, each), cpu)
        words = f"{ours}'s CPU per stanza is at most {times:g} x that of {relay}'s TLS relay"
        add(words, mode, times, False, measured)
        if mode == "in":
            ours, peer, times = _FASTER
            measured = ratio(rows, (ours, each), (peer, each), rate)
            words = f"on one stream {ours} carries at least {times:g} x {peer}'s stanzas/s"
            add(words, mode, times, True, measured)
    for ours in OURS:
        for each in base(rows):
            if each[0] == "gateway":
                measured = ratio(rows, (ours, each), (ours, ("in", *each[1:])), cpu)
                words = f"{ours}'s CPU per stanza is at most {GATEWAY:g} x that to a component"
                add(words, each[0], GATEWAY, False, measured)
        for measured_cell, first, words, bound in _growth(rows):
            measured = ratio(rows, (ours, measured_cell), (ours, first), cpu)
            add(f"{ours}: {words}", measured_cell[0], bound, False, measured)
    return found


def _growth(rows: list[Row]) -> Iterable[tuple[Key, Key, str, float]]:
    """Cells that must cost about as much as another one."""
    size, acceptors = keys(rows)[0][1:] if rows else (0, 0)
    known = {key(row): row for row in rows}
    for each, row in known.items():
        one = (row["direction"], size, acceptors)
        if row["pairs"] >= 100 and each[1:] == one[1:] and one in known:
            words = f"a stanza among {row['pairs']:,} pairs costs at most {MAX_GROWTH:g} x"
            yield each, one, f"{words} that of one pair", MAX_GROWTH
        fewer = (each[0], each[1], acceptors)
        if each[2] == 2 and fewer[2] == 1 and fewer in known:
            words = "a stanza costs at most 1.18 x with a second acceptor"
            yield each, fewer, words, MAX_OF_SECOND_ACCEPTOR
