"""`make model`: schedules of the lanes protocol at random, on all processors.

Prints how many a second; of one that breaks the promise the seed and the smallest schedule that
does. Exit 1 then. `python -m tests.model.campaign --help` for what can be set.
"""

import argparse
import multiprocessing
import random
import sys
import time

from tests.model.search import KINDS, Found, at_random, smallest
from tests.model.world import Bounds

BATCH = 500


def batch(first: int) -> tuple[int, Found]:
    """The seeds from `first` on, each kind of world in turn."""
    return first, at_random(range(first, first + BATCH), kind(first), swarm=True)


def kind(first: int) -> Bounds:
    """Of the batch that begins with this seed."""
    return KINDS[first // BATCH % len(KINDS)]


def main() -> int:
    """Until all are tried, or one breaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.campaign", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="of the first; drawn if not given")
    arguments = parser.parse_args()
    first = random.SystemRandom().randrange(2**40) if arguments.seed is None else arguments.seed
    print(f"seeds from {first} on", flush=True)
    started_s, tried = time.monotonic(), 0
    with multiprocessing.Pool() as pool:
        for seed, found in pool.imap(batch, range(first, first + arguments.schedules, BATCH)):
            tried += found.tried
            if found.broken:
                return report(seed, found)
            if tried % (100 * BATCH) == 0:
                took_s = time.monotonic() - started_s
                print(f"{tried:,} schedules in {took_s:.0f} s: all keep the promise", flush=True)
    print(f"{tried:,} schedules, {time.monotonic() - started_s:.0f} s: all keep the promise")
    return 0


def report(first: int, found: Found) -> int:
    """Say what broke, and how to see it."""
    small = smallest(found, kind(first))
    print(f"seed {first + found.tried - 1}: {small.broken}")
    for action in small.schedule:
        print("   ", *action)
    return 1


if __name__ == "__main__":
    sys.exit(main())
