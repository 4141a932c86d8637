"""Which acceptors still have to say what they took of shards whose worker has changed.

Pure. One question (`Sync`) goes to all acceptors for the shards that change owner together; a shard
is complete when the latest question about it has been answered by all who are still there. Called
by `links`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Question:
    shards: frozenset[int]
    awaited: set[str]


class Syncs:
    """The questions of one acceptor that are open."""

    def __init__(self) -> None:
        self._open: dict[int, _Question] = {}
        self._last = 0

    def begin(self, shards: Iterable[int], acceptors: Iterable[str]) -> int:
        """A question about these shards goes to these acceptors; its number."""
        self._last += 1
        self._open[self._last] = _Question(frozenset(shards), set(acceptors))
        return self._last

    def answered(self, acceptor: str, number: int) -> bool:
        """The acceptor has answered; whether it was the last that this question waited for."""
        question = self._open.get(number)
        if question is None:
            return False
        question.awaited.discard(acceptor)
        return self._settle(number, question)

    def only(self, acceptors: Collection[str]) -> None:
        """Only these are here: nobody else need answer."""
        for number, question in list(self._open.items()):
            question.awaited.intersection_update(acceptors)
            self._settle(number, question)

    def _settle(self, number: int, question: _Question) -> bool:
        if question.awaited:
            return False
        del self._open[number]
        return True

    def is_complete(self, shard: int) -> bool:
        """Whether nobody need say anything of this shard any more."""
        return not any(shard in question.shards for question in self._open.values())
