"""What bidi saves, from the document alone: cells with it against the same without.

Everything is a pair's share, so that cells of 10 and of 200 pairs compare. Called by `page`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import nan
from statistics import median
from typing import Any, Final

from bench.bidi.cell import Cell, Result, Side

TOO_BUSY: Final = 0.9
"""The generator's share of a core from which it may be what is timed: times are withheld."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that is counted, for one pair; not a number where it is withheld."""

    name: str
    unit: str
    of: Callable[[Result], float]


def _cpu_s(result: Result) -> float:
    return sum(side.cpu_s for side in result.sides)


def _memory_bytes(result: Result) -> int:
    return sum(side.pss_growth_bytes for side in result.sides)


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that this share of them does not exceed. There has to be one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def first_ms(result: Result, share: float) -> float:
    """Milliseconds to the first reply, of this share of the pairs; nan when withheld."""
    if result.generator_core_share >= TOO_BUSY:
        return nan
    return quantile(result.first_s, share) * 1000


CONNECTIONS: Final = Quantity("TCP connections", "", lambda it: it.connections / it.cell.pairs)
HANDSHAKES: Final = Quantity("TLS handshakes", "", lambda it: it.tls_handshakes / it.cell.pairs)
PACKETS: Final = Quantity("packets", "", lambda it: it.packets / it.cell.pairs)
BYTES: Final = Quantity("KiB on the wire", "KiB", lambda it: it.wire_bytes / 1024 / it.cell.pairs)
CPU: Final = Quantity("CPU of the set-up", "ms", lambda it: _cpu_s(it) * 1000 / it.cell.pairs)
MEMORY: Final = Quantity(
    "memory, both ends", "KiB", lambda it: _memory_bytes(it) / 1024 / it.cell.pairs
)
FIRST_P50: Final = Quantity("first reply, p50", "ms", lambda it: first_ms(it, 0.5))
FIRST_P99: Final = Quantity("first reply, p99", "ms", lambda it: first_ms(it, 0.99))


def cpu_ms_per_connection(result: Result) -> float:
    """Of both servers together, from the first octet to the first reply."""
    return _cpu_s(result) * 1000 / result.connections


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rounds of a cell without bidi, and those with it; `cell` is the one without."""

    cell: Cell
    off: tuple[Result, ...]
    on: tuple[Result, ...]

    def values(self, quantity: Quantity) -> tuple[float, float]:
        """(off, on), medians of the rounds."""
        return (
            median(map(quantity.of, self.off)),
            median(map(quantity.of, self.on)),
        )

    def saved_percent(self, quantity: Quantity) -> float:
        """Of what it takes without bidi; below 0 when it takes more with it."""
        return saved_percent(*self.values(quantity))

    def saved_by_round(self, quantity: Quantity) -> tuple[float, ...]:
        """The same within each round."""
        return tuple(
            saved_percent(quantity.of(off), quantity.of(on))
            for off, on in zip(self.off, self.on, strict=True)
        )


def saved_percent(off: float, on: float) -> float:
    """How much less `on` is, in percent of `off`.

    nan where there was nothing to save, or where memory shrank for reasons of its own.
    """
    return (1 - on / off) * 100 if off > 0 and on >= 0 else nan


def result_of(row: dict[str, Any]) -> Result:
    """A row of the document as it was measured."""
    first, second = (Side(**side) for side in row["sides"])
    return Result(
        **{
            **row,
            "cell": Cell(**row["cell"]),
            "sides": (first, second),
            "first_s": tuple(row["first_s"]),
        }
    )


def comparisons(rows: Iterable[dict[str, Any]]) -> list[Comparison]:
    """In the order of the document; a round that was measured only one way is left out."""
    found: dict[Cell, tuple[dict[int, Result], dict[int, Result]]] = {}
    for result in map(result_of, rows):
        ways = found.setdefault(replace(result.cell, bidi=False), ({}, {}))
        ways[result.cell.bidi][result.round] = result
    compared = []
    for cell, (off, on) in found.items():
        if rounds := sorted(off.keys() & on.keys()):
            both = (tuple(way[number] for number in rounds) for way in (off, on))
            compared.append(Comparison(cell, *both))
    return compared


def round_trips(near: Comparison, far: Comparison) -> tuple[float, float]:
    """(off, on) round trips to the first reply, from the same cell at two distances.

    What the time grows by with the round trip is round trips; what it does not is computing.
    """
    apart_ms = far.cell.rtt_ms - near.cell.rtt_ms
    off, on = (
        (longer - shorter) / apart_ms
        for longer, shorter in zip(far.values(FIRST_P50), near.values(FIRST_P50), strict=True)
    )
    return off, on
