"""The lanes protocol itself, by its model: searched whole in small worlds, at random in wider ones.

`make model` searches further. What a mutant breaks, the protocol as it stands must hold.
"""

import random

import pytest

from tests.model.frames import LaneId, Mutant
from tests.model.happenings import ACTIONS, act, begin, faults, settle, steps
from tests.model.mutants import RARE, TOLD, WORLDS
from tests.model.network import BOUNCED, GONE, HANDED, IN_DOUBT, Broken
from tests.model.search import NARROW, WIDE, Found, at_random, drawn, everything, replay, smallest
from tests.model.world import QUIET, Bounds

SMALL = {
    "worker crashes": (QUIET._replace(parse=2, crash=1, cut=1), 10, 15),
    "lease moves": (QUIET._replace(parse=2, move=1), 8, 13),
    "egress dies": (QUIET._replace(parse=2, die=1, cut=1), 11, 16),
    "stream closes": (QUIET._replace(parse=2, close=1, retire=1), 11, 16),
    "no stream at first": (QUIET._replace(parse=2, streams=0, open=1, expire=1), 12, 18),
    "all at once": (Bounds(parse=2), 4, 6),
}
"""Worlds, and how many actions deep every schedule in them is tried: here, and thoroughly."""

FIRST_TAKEN = (
    ("parse", "A", LaneId("A", 1)),
    ("deliver", "A", "w0"),
    ("deliver", "w0", "B"),
    ("report", "B", 1),
)
"""The way is known, and about to be told."""
SHORT = {
    "worker crashes": (QUIET._replace(parse=3, crash=1, cut=1), 8, 12),
    "lease moves": (QUIET._replace(parse=3, move=1), 7, 11),
    "egress dies": (QUIET._replace(parse=3, die=1, cut=1), 9, 13),
    "stream closes": (QUIET._replace(parse=3, close=1, retire=1), 9, 13),
    "something is lost": (QUIET._replace(parse=4, lose=1, grant=1), 11, 15),
    "next stream": (QUIET._replace(parse=3, hang_up=2, close=1), 9, 13),
}
"""The same, after that."""


@pytest.mark.parametrize("name", SMALL)
def test_every_short_schedule_in_a_small_world_keeps_the_promise(name: str) -> None:
    bounds, depth, _ = SMALL[name]
    found = everything(bounds, depth, rest_of=10)
    assert not found.broken, found.schedule
    assert found.tried > 100


@pytest.mark.parametrize("name", SHORT)
def test_every_short_schedule_keeps_it_once_the_way_is_known(name: str) -> None:
    bounds, depth, _ = SHORT[name]
    found = everything(bounds, depth, FIRST_TAKEN, rest_of=10)
    assert not found.broken, found.schedule
    assert found.tried > 100


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SMALL)
def test_every_longer_schedule_keeps_it_too(name: str) -> None:
    bounds, _, depth = SMALL[name]
    found = everything(bounds, depth, rest_of=10)
    assert not found.broken, found.schedule


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SHORT)
def test_every_longer_schedule_keeps_it_once_the_way_is_known(name: str) -> None:
    bounds, _, depth = SHORT[name]
    found = everything(bounds, depth, FIRST_TAKEN, rest_of=10)
    assert not found.broken, found.schedule


@pytest.mark.parametrize("first", range(0, 6_000, 500))
def test_schedules_at_random_keep_the_promise(first: int) -> None:
    found = at_random(range(first, first + 500), WIDE, swarm=True)
    assert not found.broken, smallest(found, WIDE).schedule
    assert found.tried == 500


@pytest.mark.parametrize("bounds", NARROW)
def test_schedules_of_a_few_faults_keep_it(bounds: Bounds) -> None:
    found = at_random(range(600), bounds)
    assert not found.broken, smallest(found, bounds).schedule
    assert found.tried == 600


@pytest.mark.parametrize("mutant", Mutant)
def test_a_wrong_protocol_is_found_out(mutant: Mutant) -> None:
    first = RARE.get(mutant, 0)
    if (told := TOLD.get(mutant)) is not None:
        found = Found(1, told, replay(told, WORLDS[mutant], mutant))
    else:
        found = at_random(range(first, first + 2_000), WORLDS[mutant], mutant)
    assert found.broken
    again = smallest(found, WORLDS[mutant], mutant)
    assert again.broken and len(again.schedule) <= len(found.schedule)
    assert not replay(again.schedule, WORLDS[mutant]), "the same must be harmless without it"


def test_random_schedules_meet_everything_that_may_happen() -> None:
    """A search that never gets anywhere finds nothing either."""
    happened: set[str] = set()
    outcomes: set[str] = set()
    start = begin(WIDE)
    for seed in range(400):
        world = start.fork()
        for action in drawn(world, WIDE, random.Random(seed), swarm=True):
            happened.add(action[0])
            act(world, action)
        settle(world)
        outcomes.update(world.outcomes.values())
    assert happened == ACTIONS
    assert outcomes == {HANDED, BOUNCED, IN_DOUBT, GONE}


def test_every_schedule_of_a_seed_is_the_same() -> None:
    mutant = Mutant.REPLAY_BEFORE_SYNCED
    once, twice = (at_random(range(2_000), WORLDS[mutant], mutant) for _ in range(2))
    assert once == twice


def test_a_fork_leaves_the_world_as_it_was() -> None:
    world = begin(Bounds())
    before = world.key()
    for action in (*steps(world), *faults(world)):
        act(world.fork(), action)
        assert world.key() == before, action


def test_a_stanza_without_an_outcome_is_noticed() -> None:
    world = begin(QUIET)
    lane = next(action[2] for action in faults(world) if action[0] == "parse")
    world.accepted(lane, 1)
    with pytest.raises(Broken, match="left without an outcome"):
        settle(world)
