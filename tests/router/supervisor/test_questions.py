"""Questions to several processes: complete, partial, late."""

import asyncio
from typing import cast

import pytest

from router.supervisor import questions as module
from router.supervisor.processes import Child
from router.supervisor.questions import Questions
from router.wire.control import Answer, Ask, Message


class Asked:
    """Stands for a process: remembers the question."""

    def __init__(self, child_id: str) -> None:
        self.id = child_id
        self.request = 0
        self.arguments: tuple[str, ...] = ()

    def send(self, message: Message) -> None:
        assert isinstance(message, Ask) and message.what == "streams"
        self.request, self.arguments = message.request, message.arguments


async def begin(
    *ids: str,
) -> tuple[Questions, list[Asked], "asyncio.Task[list[dict[str, object]]]"]:
    questions, asked = Questions(), [Asked(each) for each in ids]
    task = asyncio.create_task(questions.ask("streams", cast(list[Child], asked)))
    await asyncio.sleep(0)  # one turn: the question is out
    assert all(each.request for each in asked)
    return questions, asked, task


async def test_rows_of_all_in_parts() -> None:
    questions, (a, b), task = await begin("a0.1", "a1.1")
    questions.answered("a0.1", Answer(a.request, ({"n": 1},), more=True))
    questions.answered("a1.1", Answer(b.request, ({"n": 2},)))
    assert not task.done()
    questions.answered("a0.1", Answer(a.request, ({"n": 3},)))
    assert await task == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_the_dead_are_not_waited_for() -> None:
    questions, (a, _), task = await begin("a0.1", "a1.1")
    questions.gone("a1.1")
    questions.answered("a0.1", Answer(a.request, ({"n": 1},)))
    assert await task == [{"n": 1}]


async def test_the_silent_are_waited_for_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 0.01)
    questions, (a, _), task = await begin("a0.1", "a1.1")
    questions.answered("a0.1", Answer(a.request, ({"n": 1},)))
    assert await task == [{"n": 1}]
    questions.answered("a1.1", Answer(a.request, ({"n": 2},)))


async def test_answers_of_strangers_and_second_answers_do_not_count() -> None:
    questions, (a, _), task = await begin("a0.1", "a1.1")
    for source in ("a0.1", "a0.1", "a9.9"):
        questions.answered(source, Answer(a.request, ({"from": source},)))
    questions.gone("a1.1")
    assert await task == [{"from": "a0.1"}]


async def test_arguments_go_along() -> None:
    questions, asked = Questions(), Asked("a0.1")
    children = cast(list[Child], [asked])
    task = asyncio.create_task(questions.ask("streams", children, "m", "c"))
    await asyncio.sleep(0)
    assert asked.arguments == ("m", "c")
    questions.gone("a0.1")
    assert await task == []


async def test_nobody_to_ask() -> None:
    assert await Questions().ask("streams", []) == []
