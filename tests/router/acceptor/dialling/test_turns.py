"""So many at once for each place: in order, the urgent before all, and nothing left behind."""

import asyncio

import pytest

from router.acceptor.dialling.turns import Turn, Turns

HOME, AWAY = ("192.0.2.1", 5269), ("192.0.2.9", 5269)


class Crowd:
    """Those who come, by name, and who of them has got a turn."""

    def __init__(self, at_once: int, wait_s: float = 60.0) -> None:
        self.turns = Turns(at_once, wait_s)
        self.got: dict[str, Turn] = {}
        self.urged: dict[str, asyncio.Future[None]] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str, place: tuple[str, int] = HOME, urged: bool = False) -> None:
        """They come, one after another, and get or await their turns."""
        for name in names:
            self.urged[name] = asyncio.get_running_loop().create_future()
            if urged:
                self.urged[name].set_result(None)
            self.tasks[name] = asyncio.create_task(self._come(name, place))
        await self.settle()

    async def _come(self, name: str, place: tuple[str, int]) -> None:
        self.got[name] = await self.turns.come(place, self.urged[name])

    async def end(self, name: str) -> None:
        self.turns.end(self.got.pop(name))
        await self.settle()

    @staticmethod
    async def settle() -> None:
        """As many turns of the loop as a wait and its time-out need."""
        for _ in range(5):
            await asyncio.sleep(0)


async def test_so_many_go_and_the_others_follow_in_order() -> None:
    crowd = Crowd(2)
    await crowd.come("a", "b", "c", "d")
    assert list(crowd.got) == ["a", "b"]
    assert not crowd.got["a"].has_waited
    await crowd.end("b")
    assert list(crowd.got) == ["a", "c"]
    assert crowd.got["c"].has_waited
    await crowd.come("e")
    await crowd.end("a")
    assert list(crowd.got) == ["c", "d"], "nobody who comes later goes first"


async def test_each_place_has_its_own_and_is_forgotten_when_empty() -> None:
    crowd = Crowd(1)
    await crowd.come("a", "b")
    await crowd.come("c", place=AWAY)
    assert list(crowd.got) == ["a", "c"]
    assert len(crowd.turns) == 2
    for name in ("c", "a", "b"):
        await crowd.end(name)
    assert len(crowd.turns) == 0


async def test_the_urgent_wait_for_nobody_and_keep_nobody_waiting() -> None:
    crowd = Crowd(1)
    await crowd.come("u", "v", urged=True)
    await crowd.come("a", "b", "c")
    assert list(crowd.got) == ["u", "v", "a"]
    crowd.urged["c"].set_result(None)
    await crowd.settle()
    assert list(crowd.got) == ["u", "v", "a", "c"]
    for name in ("u", "v", "c"):
        await crowd.end(name)
        assert "b" not in crowd.got
    await crowd.end("a")
    assert list(crowd.got) == ["b"]
    await crowd.end("b")
    assert len(crowd.turns) == 0


async def test_who_waits_too_long_is_told_and_leaves_the_line() -> None:
    crowd = Crowd(1, wait_s=0.01)
    await crowd.come("a", "b")
    with pytest.raises(TimeoutError):
        await crowd.tasks["b"]
    await crowd.come("c")
    await crowd.end("a")
    assert list(crowd.got) == ["c"]
    await crowd.end("c")
    assert len(crowd.turns) == 0


async def test_who_is_broken_off_hands_on_the_turn_he_was_just_given() -> None:
    crowd = Crowd(1)
    await crowd.come("a", "b", "c", "d")
    crowd.turns.end(crowd.got.pop("a"))
    crowd.tasks["b"].cancel()  # called, but it has not run yet
    crowd.tasks["c"].cancel()  # still in the line
    await crowd.settle()
    assert list(crowd.got) == ["d"]
    await crowd.end("d")
    assert len(crowd.turns) == 0
