"""Looks for a schedule that breaks the promise: all of them to a depth, or many at random.

Called by the tests, and by `make model` for as many as there is patience for.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.model.frames import LaneId, Mutant
from tests.model.happenings import Action, act, begin, faults, settle, steps
from tests.model.network import Broken
from tests.model.world import QUIET, Bounds, World

WIDE: Final = Bounds(
    acceptors=3,
    lanes=(LaneId("A", 1), LaneId("A", 2), LaneId("B", 1)),
    parse=8, crash=2, move=2, close=2, retire=1, open=2,
    grant=3, lose=1, cut=2, expire=2, poison=1, refuse=3, overflow=2, join=1, hang_up=2, leave=1,
)  # fmt: skip
"""For random schedules: all at once."""

NARROW: Final = (
    QUIET._replace(parse=8, grant=2, lose=1),
    QUIET._replace(parse=8, grant=2, crash=1, die=1, cut=3),
    QUIET._replace(parse=8, grant=2, move=2, lose=1, hang_up=2),
    QUIET._replace(parse=8, grant=2, close=1, retire=1, open=1, leave=1),
    QUIET._replace(parse=8, grant=2, crash=2, poison=1, refuse=2),
    QUIET._replace(parse=6, streams=1, crash=1, die=1, open=1, hang_up=1),
)
"""For more of the same thing: in wide worlds it drowns."""

KINDS: Final = (WIDE, *NARROW)

FAULTS: Final = frozenset(Bounds._fields) - {"acceptors", "workers", "lanes", "streams", "parse"}

LENGTH: Final = 70
"""Actions of a random schedule, before the world is left alone."""


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule that breaks the promise, how it does, and how many were tried (or states seen)."""

    tried: int
    schedule: tuple[Action, ...] = ()
    broken: str = ""


def everything(bounds: Bounds, depth: int, after: Iterable[Action] = (), rest_of: int = 1) -> Found:
    """Breadth first to `depth` actions `after` these; one world of `rest_of` is left alone too."""
    start = begin(bounds)
    for action in after:
        act(start, action)
    seen = {start.key()}
    level: list[tuple[World, tuple[Action, ...]]] = [(start, ())]
    for left in reversed(range(depth)):
        following = []
        for world, path in level:
            for action in (*steps(world), *faults(world)):
                new, schedule = world.fork(), (*path, action)
                try:
                    act(new, action)
                    key = new.key()
                    if key in seen:
                        continue
                    seen.add(key)
                    if len(seen) % rest_of == 0:
                        settle(new.fork())
                except Broken as broken:
                    return Found(len(seen), schedule, str(broken))
                if left:
                    following.append((new, schedule))
        level = following
    return Found(len(seen))


def at_random(
    seeds: Iterable[int], bounds: Bounds, mutant: Mutant | None = None, *, swarm: bool = False
) -> Found:
    """One schedule for each seed; in a `swarm` each has only some of the faults."""
    start = begin(bounds, mutant)
    tried = 0
    for tried, seed in enumerate(seeds, 1):
        schedule: list[Action] = []
        try:
            world = start.fork()
            for action in drawn(world, bounds, random.Random(seed), swarm=swarm):
                schedule.append(action)
                act(world, action)
            settle(world)
        except Broken as broken:
            return Found(tried, tuple(schedule), str(broken))
    return Found(tried)


def _some(bounds: Bounds, rng: random.Random) -> dict[str, int]:
    """A world where some faults never happen, so that others happen together more often."""
    return {
        name: rng.choice((0, value)) if name in FAULTS else value
        for name, value in bounds.counts().items()
    }


def drawn(
    world: World, bounds: Bounds, rng: random.Random, *, swarm: bool = False
) -> Iterator[Action]:
    """What is to happen next; it must, before the next is asked for.

    Each link and actor has a speed, which changes now and then: some lag far behind others.
    """
    if swarm:
        world.budget = _some(bounds, rng)
    speeds: dict[Action, float] = {}
    faulty, fickle = rng.uniform(0.05, 0.5), rng.choice((0.02, 0.1, 1.0))
    for _ in range(LENGTH):
        possible = list(steps(world))
        if not possible or rng.random() < faulty:
            possible = list(faults(world)) or possible
            if not possible:
                return
            yield possible[int(rng.random() * len(possible))]
        else:
            if rng.random() < fickle:
                speeds.clear()
            for step in possible:
                if step not in speeds:
                    speeds[step] = rng.random()
            yield max(possible, key=speeds.__getitem__)


def replay(schedule: Iterable[Action], bounds: Bounds, mutant: Mutant | None = None) -> str:
    """How the promise is broken; empty if it is not. What cannot happen is left out."""
    world = begin(bounds, mutant)
    try:
        for action in schedule:
            if action in (*steps(world), *faults(world)):
                act(world, action)
        settle(world)
    except Broken as broken:
        return str(broken)
    return ""


def smallest(found: Found, bounds: Bounds, mutant: Mutant | None = None) -> Found:
    """The same, without any action that it also breaks without."""
    schedule, at = list(found.schedule), 0
    while at < len(schedule):
        shorter = schedule[:at] + schedule[at + 1 :]
        if replay(shorter, bounds, mutant):
            schedule, at = shorter, 0
        else:
            at += 1
    return Found(found.tried, tuple(schedule), replay(schedule, bounds, mutant))
