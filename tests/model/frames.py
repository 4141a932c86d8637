"""What the model's actors say to each other: the frames of the lanes, one stanza to a run.

The fields are those of `router.wire.frames` that decide anything. One shard, one domain pair; a
lane is its owner's name and a number.
"""

from enum import Enum, auto
from typing import Final, NamedTuple

ANY_LEASE: Final = 1_000_000
"""The generation of what an owner forwards itself: no lease has part in it."""
_LANES: Final = 10


class StreamId(NamedTuple):
    acceptor: str
    number: int


class LaneId(NamedTuple):
    """`number` is that of the line, and above it how many lanes the line had before."""

    owner: str
    number: int

    @property
    def line(self) -> "LaneId":
        """The first lane of those that follow one another for what a pair sends."""
        return LaneId(self.owner, self.number % _LANES)

    def following(self) -> "LaneId":
        """The next one of the line."""
        return LaneId(self.owner, self.number + _LANES)


class Membership(NamedTuple):
    """What the supervisor says: who is here, who routes, under which generation."""

    acceptors: frozenset[str]
    worker: str
    generation: int


class Data(NamedTuple):
    """Owner to worker."""

    lane: LaneId
    epoch: int
    number: int
    generation: int


class Forward(NamedTuple):
    """To egress, from a worker or, the short way, from the owner.

    `after`: sent there before it in this epoch; 0 for nothing, or a rewind of the worker's.
    """

    lane: LaneId
    epoch: int
    number: int
    after: int
    generation: int
    stream: int


class Reject(NamedTuple):
    """Worker to owner."""

    lane: LaneId
    epoch: int
    number: int


class Bounced(NamedTuple):
    """Worker to owner, of a mutant only: I have bounced it."""

    lane: LaneId
    number: int


class Progress(NamedTuple):
    """Egress to owner, cumulative; numbers are the lane's, whatever the epoch."""

    lane: LaneId
    epoch: int
    stream: int
    took: int
    done: int


class Returned(NamedTuple):
    """Egress, or worker for a dead egress, to owner; `first` to `doubt` may have been written."""

    lane: LaneId
    epoch: int
    first: int
    doubt: int


class Hold(NamedTuple):
    """Egress to owner."""

    lane: LaneId
    epoch: int


class Again(NamedTuple):
    """Egress to owner: send up to `credit` stanzas behind `took` (0: no limit).

    `lacks`: what was sent behind `took` has been dropped.
    """

    lane: LaneId
    epoch: int
    took: int
    credit: int
    lacks: bool


class Ended(NamedTuple):
    """Owner to egress: the lane is over."""

    lane: LaneId
    stream: int


class Sync(NamedTuple):
    """Owner to every acceptor."""

    number: int
    generation: int


class Synced(NamedTuple):
    """The answer, behind a Progress for each lane of the owner."""

    number: int


class Joined(NamedTuple):
    """Worker to acceptors."""

    version: int


class Announced(NamedTuple):
    """Acceptor to worker."""

    version: int


class Granted(NamedTuple):
    """Acceptor to worker, whose lease it names: what was said before it lost one is of no use."""

    stream: int
    generation: int


class Revoked(NamedTuple):
    """Acceptor to worker."""

    stream: int


Frame = (
    Data
    | Forward
    | Reject
    | Bounced
    | Progress
    | Returned
    | Hold
    | Again
    | Ended
    | Sync
    | Synced
    | Joined
    | Announced
    | Granted
    | Revoked
)


class Mutant(Enum):
    """A wrong protocol each; the search has to find out."""

    SYNCED_BEFORE_FENCING = auto()
    WORKER_BOUNCES = auto()
    DUPLICATES_BY_HASH = auto()
    MOVED_WITHOUT_RETURNED = auto()
    CREDIT_IS_A_DELTA = auto()
    SYNC_SKIPS_ONE = auto()
    OLD_REJECT_HONOURED = auto()
    REJECT_BEFORE_JOINED_HONOURED = auto()
    REPLAY_BEFORE_SYNCED = auto()
    RETURNED_AFTER_JOINED = auto()
    GAP_ACCEPTED = auto()
    EPOCH_BEGINS_ANYWHERE = auto()
    REFUSED_EPOCH_LEAVES = auto()
    DOUBT_TO_LAST_SENT = auto()
    OVER_IS_NOT_BOUND = auto()
    SETTLED_BY_WORKER_ALONE = auto()
    TOLD_BY_NEW_WORKER = auto()
    GRANT_OUTLIVES_LEASE = auto()
    REFUSED_AFTER_SENT = auto()
    NUMBERS_WITHOUT_HOLES = auto()
    SHORT_TOO_SOON = auto()
    SHORT_BY_GUESS = auto()
    SHORT_DOUBT_TO_TOOK = auto()
    SHORT_IN_NEXT_EPOCH = auto()
    SHORT_REPLAYED = auto()
    SHORT_WITHOUT_AFTER = auto()
    SHORT_UNDER_LEASE = auto()
    SHORT_TO_THE_DEAD = auto()
    LANE_ENDS_WITH_STREAM = auto()
    FILLED_IS_WHOLE = auto()
    LEFT_IS_FORGOTTEN = auto()
    LEFT_BEFORE_DONE = auto()
    LEFT_BEFORE_REPORTED = auto()
