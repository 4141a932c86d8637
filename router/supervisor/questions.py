"""Questions of the operator's to several processes, and their answers put together."""

import asyncio
import itertools
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from router.supervisor.processes import Child
from router.wire.control import Answer, Ask

ANSWER_TIMEOUT_S: Final = 2.0


@dataclass(slots=True)
class _Question:
    open: set[str]
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    rows: list[dict[str, object]] = field(default_factory=list)


class Questions:
    """Those under way. The supervisor passes on each Answer and each death."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Question] = {}

    async def ask(
        self, what: str, children: Collection[Child], *arguments: str
    ) -> list[dict[str, object]]:
        """The rows of all, without those who died or did not answer within ANSWER_TIMEOUT_S."""
        number = next(self._numbers)
        question = self._asked[number] = _Question({child.id for child in children})
        try:
            for child in children:
                child.send(Ask(number, what, arguments))
            if question.open:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await question.complete.wait()
        except TimeoutError:
            pass
        finally:
            del self._asked[number]
        return question.rows

    def answered(self, child_id: str, answer: Answer) -> None:
        """Late answers, and answers to nothing, are dropped."""
        question = self._asked.get(answer.request)
        if question is not None and child_id in question.open:
            question.rows.extend(answer.rows)
            if not answer.more:
                self._done(question, child_id)

    def gone(self, child_id: str) -> None:
        """No answer will come from this process."""
        for question in self._asked.values():
            self._done(question, child_id)

    @staticmethod
    def _done(question: _Question, child_id: str) -> None:
        question.open.discard(child_id)
        if not question.open:
            question.complete.set()
