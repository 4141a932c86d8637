"""A document of the bidi benchmark with figures that are easy to reckon with."""

from dataclasses import asdict
from typing import Any

from bench import result
from bench.bidi.cell import AUTHS, BETWEEN, Cell, Result, Side, cells


def made_up(cell: Cell, number: int = 0, share: float = 0.1) -> Result:
    """Per pair 2 connections without bidi, 1 with it; 10 round trips and 5; ms as round + 1."""
    each = 1 if cell.bidi and cell.auth == "external" else 2
    count = each * cell.pairs
    side = Side(0.004 * count, 100 * 1024 * count, 50 * 1024 * count)
    first_s = (number + 1) / 1000 + 5 * each * cell.rtt_ms / 1000
    return Result(
        cell=cell,
        round=number,
        distance="delay proxy",
        connections=count,
        standing=count,
        tls_handshakes=count,
        packets=25 * count,
        payload_bytes=7000 * count,
        wire_bytes=8192 * count,
        sides=(side, side),
        first_s=(first_s,) * cell.pairs,
        generator_core_share=share,
    )


def rows(wanted: list[Cell], rounds: int = 1, share: float = 0.1) -> list[dict[str, Any]]:
    return [asdict(made_up(cell, number, share)) for number in range(rounds) for cell in wanted]


def document(pairs: tuple[int, ...] = (1, 50), rounds: int = 2) -> dict[str, Any]:
    wanted = cells(pairs, AUTHS, BETWEEN, (0, 50), ("request", "one-way"))
    settings = {"why_no_netem": "no netem in this kernel"}
    return result.document("bidi", rows(wanted, rounds), settings=settings)
