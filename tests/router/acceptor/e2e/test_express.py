"""Sessions that are kept: when they are tried, and tried again."""

import asyncio
from typing import Any

import pytest

from router.acceptor.e2e.express import FIRST_S, LASTING_S, LONGEST_S, TURN_S, Express

PEER = "relay.capulet.example"


class Clock:
    """A loop of which only the time matters; timers run when it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Any, Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, after_s: float, call: Any, *arguments: Any) -> Any:
        timer = [self.now + after_s, call, arguments]
        self.timers.append(timer)  # type: ignore[arg-type]

        class Handle:
            def cancel(_) -> None:
                if timer in self.timers:
                    self.timers.remove(timer)  # type: ignore[arg-type]

        return Handle()

    def move(self, seconds: float) -> None:
        self.now += seconds
        for timer in [each for each in self.timers if each[0] <= self.now]:
            self.timers.remove(timer)
            timer[1](*timer[2])

    def next_s(self) -> float:
        ((at, _, _),) = self.timers
        return at - self.now


class Keeper:
    def __init__(self, local: str) -> None:
        self.clock = Clock()
        self.sessions: set[str] = set()
        self.opened: list[str] = []
        loop: asyncio.AbstractEventLoop = self.clock  # type: ignore[assignment]
        self.express = Express(loop, local, [PEER], self.sessions.__contains__, self.opened.append)


@pytest.mark.parametrize(("local", "after_s"), [("a.example", 0.0), ("z.example", TURN_S)])
def test_the_address_that_sorts_first_begins(local: str, after_s: float) -> None:
    keeper = Keeper(local)
    keeper.express.begin()
    assert keeper.clock.next_s() == after_s
    keeper.clock.move(after_s)
    assert keeper.opened == [PEER]


def test_where_the_peer_has_begun_nothing_is_opened() -> None:
    keeper = Keeper("z.example")
    keeper.express.begin()
    keeper.sessions.add(PEER)
    keeper.clock.move(TURN_S)
    assert keeper.opened == []


def test_what_fails_is_tried_again_ever_later_and_what_lasted_at_once() -> None:
    keeper = Keeper("a.example")
    keeper.express.begin()
    keeper.clock.move(0)
    waits = []
    for _ in range(8):
        keeper.express.over(PEER)
        waits.append(keeper.clock.next_s())
        keeper.clock.move(waits[-1])
    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert max(waits) == LONGEST_S
    keeper.clock.move(LASTING_S)
    keeper.express.over(PEER)
    assert keeper.clock.next_s() == FIRST_S


def test_nothing_is_opened_after_the_end_or_for_strangers() -> None:
    keeper = Keeper("a.example")
    keeper.express.begin()
    keeper.express.end()
    keeper.express.over(PEER)
    keeper.clock.move(LONGEST_S)
    keeper.express.begin()
    keeper.clock.move(0)
    keeper.express.over("stranger.example")
    assert (keeper.opened, keeper.clock.timers) == ([PEER], [])


def test_a_peer_that_comes_is_tried_in_turn_but_no_more_often_for_it() -> None:
    keeper = Keeper("a.example")
    keeper.express.came(PEER)
    assert keeper.clock.timers == []
    keeper.clock.move(LONGEST_S)
    keeper.express.begin()
    keeper.clock.move(0)
    keeper.express.over(PEER)
    keeper.express.came(PEER)
    assert keeper.clock.next_s() == 2 * FIRST_S
    keeper.clock.move(LONGEST_S)
    keeper.express.came(PEER)
    keeper.express.came("stranger.example")
    assert keeper.clock.next_s() == 2 * FIRST_S
    other = Keeper("z.example")
    other.express.begin()
    other.clock.move(LONGEST_S)
    other.clock.move(LONGEST_S)
    other.express.came(PEER)
    assert other.clock.next_s() == TURN_S
