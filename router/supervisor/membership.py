"""Pure: which worker sits on which seat, who owns which shard, and the generations that fence them.

A shard belongs to a seat for good (`seat_of`); workers come and go on the seats. A worker that is
ready takes a vacant seat or stands by as a spare; the spare takes the seat of one that died, so
only the dead one's shards move. The supervisor drives it and broadcasts each new value.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Self

from router.wire.shard import SHARDS, seat_of

NOBODY: Final = ""


@dataclass(frozen=True, slots=True)
class Seating:
    """Immutable; each transition returns the next value.

    `seats` and `spares` hold worker ids, NOBODY for a vacant seat. `generations` rise, shard by
    shard, whenever the owner changes, to or from nobody too. `moves` counts the shards that passed
    from one worker to another.
    """

    seats: tuple[str, ...]
    spares: tuple[str, ...]
    generations: tuple[int, ...]
    last_owners: tuple[str, ...]
    moves: int

    @classmethod
    def vacant(cls, seats: int) -> Self:
        """So many seats, nobody on them."""
        return cls((NOBODY,) * seats, (), (0,) * SHARDS, (NOBODY,) * SHARDS, 0)

    @classmethod
    def resumed(
        cls,
        seats: int,
        seated: tuple[str, ...],
        spares: tuple[str, ...],
        generations: tuple[int, ...],
        last_owners: tuple[str, ...],
    ) -> Self:
        """As an earlier supervisor left it; with another number of seats all are vacant again.

        The generations go on either way.
        """
        if len(seated) == seats:
            return cls(seated, spares, generations, last_owners, 0)
        risen = tuple(generation + 1 for generation in generations)
        return cls((NOBODY,) * seats, (), risen, last_owners, 0)

    @property
    def owners(self) -> tuple[str, ...]:
        """For each shard, the id of the worker that owns it, or NOBODY."""
        return _owners(self.seats)

    def arrived(self, worker: str) -> Self:
        """The worker is ready: it takes the first vacant seat, else stands by."""
        assert worker not in self.seats and worker not in self.spares, worker
        return self._seated(self.seats, (*self.spares, worker))

    def left(self, worker: str) -> Self:
        """The worker is dead or no longer trusted; the longest-standing spare takes its seat."""
        seats = tuple(NOBODY if sitting == worker else sitting for sitting in self.seats)
        return self._seated(seats, tuple(spare for spare in self.spares if spare != worker))

    def _seated(self, seats: tuple[str, ...], spares: tuple[str, ...]) -> Self:
        standing = list(spares)
        filled = tuple(
            standing.pop(0) if sitting == NOBODY and standing else sitting for sitting in seats
        )
        before, after = self.owners, _owners(filled)
        moved = sum(
            new != NOBODY and last not in (NOBODY, new)
            for new, last in zip(after, self.last_owners, strict=True)
        )
        return replace(
            self,
            seats=filled,
            spares=tuple(standing),
            generations=tuple(
                generation + (old != new)
                for generation, old, new in zip(self.generations, before, after, strict=True)
            ),
            last_owners=tuple(
                new or last for new, last in zip(after, self.last_owners, strict=True)
            ),
            moves=self.moves + moved,
        )


def _owners(seats: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(seats[seat] for seat in _seats_of_shards(len(seats)))


@cache
def _seats_of_shards(seats: int) -> tuple[int, ...]:
    return tuple(seat_of(shard, range(seats)) for shard in range(SHARDS))
