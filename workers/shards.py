"""Which shards are ours, since which generation, and which wait for announcements.

Owns the fence (generation) and the beginning of routing: a shard just won is routed once every
acceptor of that membership has announced its streams; what comes earlier waits here.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from router.wire.frames import Attach, Data, Verify
from workers.backlog import Room

_QUESTION_BYTES: Final = 256
"""What a frame without stanzas counts for, so that these are bounded too."""


class Early(NamedTuple):
    """A frame that came before its shard could be routed, and the acceptor it came from."""

    source: str
    frame: Data | Verify | Attach


@dataclass(slots=True)
class _Shard:
    """`awaited`: acceptors that have not announced `won_version` or a later one yet."""

    generation: int
    won_version: int
    awaited: set[str]
    early: list[Early] = field(default_factory=list)


class Shards:
    """The shards of one worker."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._shards: dict[int, _Shard] = {}

    def generation(self, shard: int) -> int | None:
        """Of our lease; None when the shard is not ours."""
        held = self._shards.get(shard)
        return None if held is None else held.generation

    def is_routed(self, shard: int) -> bool:
        """Whether it is ours and every acceptor has announced."""
        held = self._shards.get(shard)
        return held is not None and not held.awaited

    def membership(
        self, version: int, acceptors: Collection[str], owned: Mapping[int, int]
    ) -> frozenset[int]:
        """Take over shard → generation; the shards that we lost, or lost and won again."""
        lost = frozenset(
            shard for shard, held in self._shards.items() if owned.get(shard) != held.generation
        )
        for shard in lost:
            self._give_back(self._shards.pop(shard).early)
        for shard, generation in owned.items():
            if shard not in self._shards:
                self._shards[shard] = _Shard(generation, version, set(acceptors))
        return lost

    def wait(self, shard: int, early: Early) -> bool:
        """Keep the frame until the shard, which is ours, is routed; False when there is no room.

        A run of an epoch that has its stream already is always kept: the epoch may not end here.
        """
        is_bound = isinstance(early.frame, Data) and early.frame.egress is not None
        if not self._room.take(_octets(early), whatever_is_left=is_bound):
            return False
        self._shards[shard].early.append(early)
        return True

    def announced(self, acceptor: str, version: int) -> None:
        """The acceptor has told all it had to for this version."""
        for held in self._shards.values():
            if held.won_version <= version:
                held.awaited.discard(acceptor)

    def acceptor_gone(self, acceptor: str) -> None:
        """Nothing more will come from it."""
        for held in self._shards.values():
            held.awaited.discard(acceptor)

    def take_early(self) -> Iterator[Early]:
        """What waited for shards that are routed now, in the order it came, shard by shard."""
        for held in self._shards.values():
            if held.early and not held.awaited:
                early, held.early = held.early, []
                self._give_back(early)
                yield from early

    def _give_back(self, early: list[Early]) -> None:
        self._room.give_back(sum(map(_octets, early)))


def _octets(early: Early) -> int:
    return len(early.frame.octets) if isinstance(early.frame, Data) else _QUESTION_BYTES
