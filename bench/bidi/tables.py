"""The figures in rows, for the report and for the terminal, from the comparisons."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import isfinite
from statistics import median

from bench.bidi.savings import (
    BYTES,
    CONNECTIONS,
    CPU,
    FIRST_P50,
    FIRST_P99,
    HANDSHAKES,
    MEMORY,
    PACKETS,
    Comparison,
    Quantity,
    cpu_ms_per_connection,
    round_trips,
)
from bench.bidi.words import between, proof, shared
from bench.report.amounts import number
from bench.report.model import Table

_CELL = ("Between", "Proof", "Mix", "Pairs", "RTT ms")


def everything(found: Iterable[Comparison]) -> Table:
    """A row for each cell, "off → on" in each column, medians of the rounds."""
    columns = (
        *_CELL,
        "Connections",
        "TLS handshakes",
        "Packets",
        "KiB",
        "CPU ms",
        "CPU ms a connection",
        "Memory KiB a pair",
        "First reply p50 ms",
        "p99 ms",
        "Generator",
    )
    return Table(columns, tuple(_everything_of(each) for each in found))


def savings(found: Iterable[Comparison]) -> Iterator[tuple[str, Table]]:
    """For each kind of cell, its name and what is saved, with what it is saved of."""
    columns = ("Pairs", "RTT ms", "Connections", "KiB", "CPU", "Memory", "First reply ms", "p99 ms")
    kinds: dict[str, list[tuple[str, ...]]] = {}
    for each in found:
        name, proved, mix, *rest = _cell(each)
        kinds.setdefault(f"{name}, {proved}, {mix}", []).append((*rest, *_savings_of(each)))
    for name, rows in kinds.items():
        yield name, Table(columns, tuple(rows))


def _cell(each: Comparison) -> tuple[str, ...]:
    cell = each.cell
    return between(cell), proof(cell), cell.mix, str(cell.pairs), str(cell.rtt_ms)


def _everything_of(each: Comparison) -> tuple[str, ...]:
    per_connection = (median(map(cpu_ms_per_connection, rounds)) for rounds in (each.off, each.on))
    totals = (CONNECTIONS, HANDSHAKES, PACKETS, BYTES, CPU)
    return (
        *_cell(each),
        *(_total(each, quantity) for quantity in totals),
        _change(*per_connection),
        _change(*each.values(MEMORY)),
        _change(*each.values(FIRST_P50)),
        _change(*each.values(FIRST_P99)),
        f"{max(it.generator_core_share for it in (*each.off, *each.on)):.0%}",
    )


def _savings_of(each: Comparison) -> tuple[str, ...]:
    return (
        _total(each, CONNECTIONS),
        *(_percent(each.saved_percent(quantity)) for quantity in (BYTES, CPU, MEMORY)),
        _change(*each.values(FIRST_P50)),
        _change(*each.values(FIRST_P99)),
    )


def _total(each: Comparison, quantity: Quantity) -> str:
    off, on = each.values(quantity)
    return _change(off * each.cell.pairs, on * each.cell.pairs)


def _change(off: float, on: float) -> str:
    return f"{number(off)} → {number(on)}"


def _percent(saved: float) -> str:
    return f"{-saved:+.0f} %" if isfinite(saved) else number(saved)


def over_distance(found: list[Comparison]) -> Table:
    """Round trips to the first reply, from each distance and the least one."""
    nearest_ms = min(each.cell.rtt_ms for each in found)
    rows = []
    for near in found:
        if near.cell.rtt_ms != nearest_ms:
            continue
        for far in found:
            if far is not near and replace(far.cell, rtt_ms=nearest_ms) == near.cell:
                trips = (f"{each:.1f}" for each in round_trips(near, far))
                name = between(near.cell) + shared(near.cell)
                rows.append((name, str(far.cell.rtt_ms), *trips))
    columns = ("Between", "RTT ms", "Round trips, bidi off", "Round trips, bidi on")
    return Table(columns, tuple(rows))
