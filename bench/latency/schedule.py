"""When each stanza of a run is due, in seconds from its beginning.

The schedule is made before the run and never waits for a reply (no coordinated omission). Called by
`measure`.
"""

import random
from array import array
from typing import Final, Literal

Spacing = Literal["poisson", "even"]
SPACINGS: Final[tuple[Spacing, ...]] = ("poisson", "even")


def schedule(per_s: float, seconds: float, spacing: Spacing, seed: int) -> "array[float]":
    """All that is due within so many seconds, ascending; one stanza at least.

    "poisson" is the traffic of many independent senders: what it meets is what an arbitrary moment
    looks like, also where the server itself works in beats. "even" is one stanza a period. The same
    arguments give the same schedule, so each subject gets the same.
    """
    if spacing == "even":
        return array("d", (number / per_s for number in range(max(1, int(per_s * seconds)))))
    source = random.Random(seed)
    due = array("d")
    at_s = source.expovariate(per_s)
    while at_s < seconds:
        due.append(at_s)
        at_s += source.expovariate(per_s)
    return due or array("d", (0.0,))
