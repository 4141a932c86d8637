"""Real servers: pairs that speak for the first time, and what was counted of them."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.bidi import measure
from bench.bidi.cell import Auth, Cell, Result
from bench.distance import ByRelay
from bench.remote import MARK
from router.xmpp.pair import DomainPair

OURS = Cell("causeway-causeway", "external", "domain", "request", 2, 0, True)
PAIR = DomainPair("a.example", "b.example")


async def counted(directory: Path, cell: Cell) -> Result:
    result = await measure.one(directory, cell, 0, ByRelay())
    assert result.cell == cell
    assert len(result.first_s) == cell.pairs
    assert all(each > 0 for each in result.first_s)
    assert result.tls_handshakes == result.connections >= result.standing > 0
    assert result.wire_bytes > result.payload_bytes > 1000 * result.connections
    assert result.packets > 10 * result.connections
    assert all(side.cpu_s > 0 for side in result.sides)
    return result


@pytest.mark.processes
async def test_two_pairs_need_two_connections_with_bidi(tmp_path: Path) -> None:
    assert (await counted(tmp_path, OURS)).connections == 2


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("change", "connections"),
    [
        ({"bidi": False}, 4),
        ({"certificates": "node"}, 1),
        ({"auth": "dialback"}, 4),
        ({"mix": "one-way", "bidi": False}, 2),
    ],
)
async def test_connections_between_two_of_ours(
    tmp_path: Path, change: dict[str, Any], connections: int
) -> None:
    assert (await counted(tmp_path, replace(OURS, **change))).connections == connections


@pytest.mark.interop
@pytest.mark.parametrize("between", ["causeway-prosody", "prosody-causeway", "prosody-prosody"])
@pytest.mark.parametrize(
    ("auth", "bidi", "connections"),
    [("external", True, 2), ("external", False, 4), ("dialback", True, 4)],
)
async def test_connections_with_prosody(
    tmp_path: Path, between: str, auth: Auth, bidi: bool, connections: int
) -> None:
    cell = replace(OURS, between=between, auth=auth, bidi=bidi, rtt_ms=20)
    result = await counted(tmp_path, cell)
    assert result.connections == connections
    # Each way 8 round trips with a connection of its own; with one for both, about as many in all.
    assert min(result.first_s) > 7 * 0.02 * (1 if (auth, bidi) == ("external", True) else 2)


async def test_a_cell_that_fails_is_told_of_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = replace(OURS, pairs=1)

    async def one(directory: Path, cell: Cell, number: int, distance: object) -> str:
        if cell == OURS:
            raise ConnectionError("it bounced")
        return cell.words()

    monkeypatch.setattr(measure, "one", one)
    ended, why, begun = [], list[str](), list[str]()
    results: list[Any] = list(
        await measure.measure(
            [OURS, other], 1, ByRelay(), begun.append, lambda: ended.append(1), why.append
        )
    )
    assert results == [other.words()]
    assert why == [f"{OURS.words()}: ConnectionError it bounced"]
    assert (begun, len(ended)) == ([OURS.words(), other.words()], 2)


async def speaking(octets: bytes) -> float:
    """What `speak` says when this comes back."""
    ends = measure.Ends(PAIR, is_answered=True)

    async def answer(stanza: bytes, total: int) -> None:
        asyncio.get_running_loop().call_soon(ends.asking.count, octets)

    ends.asking.send = answer  # type: ignore[method-assign]
    return await ends.speak()


async def test_the_first_answer_ends_the_clock() -> None:
    assert 0 < await speaking(b"<message from='b.example'>" + MARK) < 5


async def test_a_bounce_is_no_answer() -> None:
    with pytest.raises(ConnectionError, match=r"a\.example to b\.example bounced: .*<gone"):
        await speaking(b"<message from='b.example' type=\"error\"><gone/>" + MARK)


async def test_a_component_that_is_cut_off_is_no_answer() -> None:
    ends = measure.Ends(PAIR, is_answered=False)

    async def lose(stanza: bytes, total: int) -> None:
        ends.asked.connection_lost(None)

    ends.asking.send = lose  # type: ignore[method-assign]
    with pytest.raises(ConnectionError, match="lost its server"):
        await ends.speak()
