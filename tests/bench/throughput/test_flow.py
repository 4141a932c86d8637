"""Stanzas of several ends in turn, no more under way than the window, and answers one for one."""

import asyncio

import pytest

from bench.remote import MARK, Load, Tally
from bench.throughput.flow import Answers, Source, flow

STANZAS = [b"<message n='%d'>" % number + MARK for number in range(3)]
SIZE = len(STANZAS[0])


class Sink:
    """A layer that keeps what it is given, and lets it arrive at once where told to."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.writes: list[bytes] = []
        self._tally = tally

    def write(self, octets: bytes) -> None:
        self.writes.append(octets)
        if self._tally is not None:
            self._tally.add(octets.count(MARK))


def sources(layer: Sink) -> list[Source]:
    ends = [Load() for _ in STANZAS]
    for end in ends:
        end._layer = layer  # type: ignore[assignment]
    return [Source(end, stanza) for end, stanza in zip(ends, STANZAS, strict=True)]


async def turns() -> None:
    """Enough turns of the loop for all that can go on without an arrival."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_every_source_sends_its_share_in_bursts_by_turns() -> None:
    tally = Tally()
    layer = Sink(tally)
    tally.expect(9)
    await flow(sources(layer), 3, 2 * SIZE, tally)
    assert layer.writes == [stanza * 2 for stanza in STANZAS] + STANZAS
    assert tally.complete.is_set()


async def test_an_end_that_is_held_up_is_passed_over_until_something_arrives() -> None:
    tally, layer = Tally(), Sink()
    tally.expect(3)
    all_of_them = sources(layer)
    all_of_them[0].end.pause_writing()
    sending = asyncio.create_task(flow(all_of_them, 1, SIZE, tally))
    await turns()
    assert layer.writes == STANZAS[1:]
    assert not sending.done()
    all_of_them[0].end.resume_writing()
    tally.add(1)
    await sending
    assert layer.writes == [*STANZAS[1:], STANZAS[0]]


async def test_no_more_is_under_way_than_the_window() -> None:
    tally, layer = Tally(), Sink()
    tally.expect(12)
    sending = asyncio.create_task(flow(sources(layer)[:1], 12, SIZE, tally, 5 * SIZE))
    await turns()
    assert len(layer.writes) == 5
    tally.add(5)
    await turns()
    tally.add(5)
    await sending
    assert len(layer.writes) == 12


async def test_a_connection_that_ends_ends_the_wait() -> None:
    tally, layer = Tally(), Sink()
    tally.expect(3)
    all_of_them = sources(layer)
    for source in all_of_them:
        source.end.pause_writing()
    sending = asyncio.create_task(flow(all_of_them, 1, SIZE, tally))
    await asyncio.sleep(0)
    tally.end()
    with pytest.raises(ConnectionError):
        await sending


async def test_answers_go_to_the_pairs_in_turn_and_are_as_many_as_arrived() -> None:
    layer = Sink()
    answers = Answers(sources(layer), 2 * SIZE)
    for count in (1, 2, 4):
        answers(count)
    one, two, three = STANZAS
    assert b"".join(layer.writes) == one + one + two + two + three + three + one
