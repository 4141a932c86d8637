"""Who owns each shard as one acceptor knows it, and which forwards are too old to be taken.

One value per acceptor, kept current by its links, read by both halves of its lanes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from router.wire.control import SPOKEN
from router.wire.shard import SHARDS

ANY_LEASE: Final = 2**32 - 1
"""The generation of what an owner forwards itself: no lease has part in it, so none outdates it."""


@dataclass(frozen=True, slots=True)
class Leases:
    """By shard. `owners` holds worker ids, "" for none; `generations` those of their leases.

    `live`: the owner has been told all it must know, and every acceptor has said what it took from
    the owner before: runs may be sent. `fences`: of an older generation nothing is taken any more.
    `acceptors` are the node's, this one included: nobody else can be sent anything.
    `speaks`: the version of the frames, of the processes that speak another than SPOKEN.
    """

    generations: list[int] = field(default_factory=lambda: [0] * SHARDS)
    owners: list[str] = field(default_factory=lambda: [""] * SHARDS)
    live: list[bool] = field(default_factory=lambda: [False] * SHARDS)
    fences: list[int] = field(default_factory=lambda: [0] * SHARDS)
    acceptors: set[str] = field(default_factory=set)
    speaks: dict[str, int] = field(default_factory=dict)

    def version_of(self, process: str) -> int:
        """The newest version of the frames that this process understands."""
        return self.speaks.get(process, SPOKEN)

    def keeps_lanes(self, process: str) -> bool:
        """Whether it knows what lanes have had since version 2: Sync, Hold, Again, doubt told.

        As long as one is there that does not, what goes through it has less of a promise. A run for
        a stream that is full is bounced, not held back. When a process dies or is replaced, what
        is on its way may be bounced although it arrives, or arrive twice: nobody can say how much
        was taken. No stanza goes without an outcome.
        """
        return self.version_of(process) >= SPOKEN

    def lease(self, shard: int, owner: str, generation: int) -> None:
        """The shard is leased anew: nothing goes to its owner before `live` is set."""
        self.owners[shard] = owner
        self.generations[shard] = generation
        self.live[shard] = False

    def fence(self, leases: Iterable[tuple[int, int]]) -> None:
        """Take nothing older than these (shard, generation) from now on."""
        for shard, generation in leases:
            if 0 <= shard < SHARDS:
                self.fences[shard] = max(self.fences[shard], generation)

    def may_judge(self, shard: int, source: str) -> bool:
        """Whether this process may say what becomes of the shard's runs.

        An acceptor may. A worker only while it has the lease under which we sent it the runs: what
        it says of those before, and what the next one does, could contradict each other.
        """
        return not is_worker(source) or (source == self.owners[shard] and self.live[shard])


def is_worker(process: str) -> bool:
    """By its id: see `control.Hello`."""
    return process.startswith("w")
