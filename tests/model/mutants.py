"""For each wrong protocol a world that is small, and where only the faults happen that it takes."""

from typing import Final

from tests.model.frames import Mutant
from tests.model.world import Bounds

QUIET: Final = Bounds(
    crash=0, move=0, die=0, close=0, retire=0, open=0, grant=0, lose=0, cut=0, expire=0,
    poison=0, refuse=0, overflow=0, join=0,
)  # fmt: skip

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
    Mutant.HINT_IGNORED: QUIET._replace(move=1),
    Mutant.REFUSED_EPOCH_LEAVES: QUIET._replace(streams=0, open=1, expire=1),
    Mutant.REFUSED_THOUGH_TAKEN: QUIET._replace(move=1, overflow=1),
    Mutant.DOUBT_TO_LAST_SENT: QUIET._replace(parse=7, grant=2, crash=1, die=1, cut=4),
    Mutant.OVER_IS_NOT_BOUND: QUIET._replace(retire=1, die=1),
    Mutant.SETTLED_BY_WORKER_ALONE: QUIET._replace(move=1, die=1),
    Mutant.TOLD_BY_NEW_WORKER: QUIET._replace(move=1, die=1),
    Mutant.RETURNED_WITHOUT_TOOK: QUIET._replace(retire=1, move=1, die=1, parse=2),
    Mutant.GRANT_OUTLIVES_LEASE: QUIET._replace(workers=2, move=2, open=1, close=1, parse=1),
    Mutant.ANNOUNCED_AHEAD: QUIET._replace(workers=2, move=3, parse=2),
    Mutant.REFUSED_AFTER_SENT: QUIET._replace(parse=7, grant=2, refuse=2),
    Mutant.RETURNED_TO_LAST_FORWARDED: QUIET._replace(parse=7, grant=2, die=1),
    Mutant.NUMBERS_WITHOUT_HOLES: QUIET._replace(parse=5, crash=1, poison=1),
}
"""Only A has a lane; w0 and w2 choose a stream of B's first, w1 one of A's."""

RARE: Final = {
    Mutant.REJECT_BEFORE_JOINED_HONOURED: 21_000,
    Mutant.RETURNED_WITHOUT_TOOK: 10_000,
    Mutant.RETURNED_TO_LAST_FORWARDED: 8_000,
}
"""Of these one schedule in ten thousand tells: where to begin, for tests that cannot wait."""
