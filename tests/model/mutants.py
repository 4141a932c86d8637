"""For each wrong protocol a world that is small, and where only the faults happen that it takes."""

from typing import Final

from tests.model.frames import LaneId, Mutant
from tests.model.happenings import Action
from tests.model.world import QUIET

WORLDS: Final = {
    Mutant.SYNCED_BEFORE_FENCING: QUIET._replace(move=1),
    Mutant.WORKER_BOUNCES: QUIET._replace(streams=0, move=1, open=1, expire=1, parse=1),
    Mutant.DUPLICATES_BY_HASH: QUIET,
    Mutant.MOVED_WITHOUT_RETURNED: QUIET._replace(retire=1),
    Mutant.CREDIT_IS_A_DELTA: QUIET._replace(grant=2, parse=5),
    Mutant.SYNC_SKIPS_ONE: QUIET._replace(move=1),
    Mutant.OLD_REJECT_HONOURED: QUIET._replace(streams=0, open=1, expire=1, move=1, parse=1),
    Mutant.REJECT_BEFORE_JOINED_HONOURED: QUIET._replace(
        streams=0, open=1, expire=1, move=2, workers=2, parse=1
    ),
    Mutant.REPLAY_BEFORE_SYNCED: QUIET._replace(move=1),
    Mutant.RETURNED_AFTER_JOINED: QUIET._replace(die=1),
    Mutant.GAP_ACCEPTED: QUIET._replace(lose=1),
    Mutant.EPOCH_BEGINS_ANYWHERE: QUIET._replace(lose=1),
    Mutant.REFUSED_EPOCH_LEAVES: QUIET._replace(streams=0, open=1, expire=1),
    Mutant.DOUBT_TO_LAST_SENT: QUIET._replace(parse=5, grant=1, die=1),
    Mutant.OVER_IS_NOT_BOUND: QUIET._replace(retire=1, die=1),
    Mutant.SETTLED_BY_WORKER_ALONE: QUIET._replace(move=1, die=1),
    Mutant.TOLD_BY_NEW_WORKER: QUIET._replace(move=1, die=1),
    Mutant.GRANT_OUTLIVES_LEASE: QUIET._replace(workers=2, move=2, open=1, close=1, parse=1),
    Mutant.REFUSED_AFTER_SENT: QUIET._replace(parse=7, grant=2, refuse=2),
    Mutant.NUMBERS_WITHOUT_HOLES: QUIET._replace(parse=7, grant=2, refuse=2),
    Mutant.SHORT_TOO_SOON: QUIET._replace(crash=1),
    Mutant.SHORT_BY_GUESS: QUIET._replace(lanes=(LaneId("A", 1), LaneId("A", 2)), move=1),
    Mutant.SHORT_DOUBT_TO_TOOK: QUIET._replace(die=1, cut=2),
    Mutant.SHORT_IN_NEXT_EPOCH: QUIET._replace(close=1, retire=1),
    Mutant.SHORT_REPLAYED: QUIET._replace(move=1, die=1, cut=2),
    Mutant.SHORT_WITHOUT_AFTER: QUIET._replace(parse=5, lose=1, grant=1),
    Mutant.SHORT_UNDER_LEASE: QUIET._replace(move=1),
    Mutant.SHORT_TO_THE_DEAD: QUIET._replace(die=1),
    Mutant.FILLED_IS_WHOLE: QUIET._replace(parse=8, grant=2, lose=1),
    Mutant.LEFT_IS_FORGOTTEN: QUIET._replace(leave=1, lose=1, open=1),
    Mutant.LEFT_BEFORE_DONE: QUIET._replace(leave=1),
    Mutant.LEFT_BEFORE_REPORTED: QUIET._replace(leave=1),
    Mutant.LANE_ENDS_WITH_STREAM: QUIET._replace(retire=1, open=1, hang_up=1),
}
"""Only A has a lane; w0 and w2 choose a stream of B's first, w1 one of A's."""

RARE: Final = {
    Mutant.REJECT_BEFORE_JOINED_HONOURED: 53_000,
}
"""Of these one schedule in ten thousand tells: where to begin, for tests that cannot wait."""

_LANE: Final = LaneId("A", 1)

TOLD: Final[dict[Mutant, tuple[Action, ...]]] = {
    # The fourth run finds the stream full, so it is asked for again, alone: the lane is short by
    # then, and the fifth is still on its way through the worker, behind all that was sent last.
    Mutant.DOUBT_TO_LAST_SENT: (
        *[("parse", "A", _LANE)] * 5,
        *[("deliver", "A", "w0")] * 5,
        *[("deliver", "w0", "B")] * 4,
        ("report", "B", 1),
        *[("write", "B", 1)] * 3,
        ("grant", "B", 1),
        *[("deliver", "B", "A")] * 3,
        ("deliver", "A", "B"),
        ("deliver", "w0", "B"),
        *[("write", "B", 1)] * 2,
        ("die", "B"),
    ),
}
"""Of these not one in three hundred thousand does: a schedule that does."""
