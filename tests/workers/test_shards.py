"""When a shard is ours, when it is routed, and what waits in between."""

import pytest

from router.wire.frames import Attach, Data
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from workers.backlog import Room
from workers.shards import Early, Shards

PAIR = DomainPair("montague.example", "capulet.example")


def early(size: int = 100) -> Early:
    return Early("a0.1", Data(1, 1, 1, Counts(1, 0, 0), PAIR, 1, None, b"x" * size))


@pytest.fixture
def room() -> Room:
    return Room(1000)


@pytest.fixture
def shards(room: Room) -> Shards:
    return Shards(room)


def test_a_shard_is_routed_once_all_acceptors_have_announced(shards):
    shards.membership(5, {"a0.1", "a1.1"}, {7: 3})
    assert shards.generation(7) == 3
    assert shards.generation(8) is None
    shards.announced("a0.1", 5)
    shards.announced("a1.1", 4)
    assert not shards.is_routed(7)
    shards.announced("a1.1", 5)
    assert shards.is_routed(7)
    assert not shards.is_routed(8)


def test_a_later_version_is_announcement_enough(shards):
    shards.membership(5, {"a0.1"}, {7: 3})
    shards.membership(6, {"a0.1", "a1.1"}, {7: 3})
    shards.announced("a0.1", 6)
    assert shards.is_routed(7), "the acceptor that came later had nothing when we won it"


def test_an_acceptor_that_is_gone_is_not_awaited(shards):
    shards.membership(5, {"a0.1", "a1.1"}, {7: 3})
    shards.announced("a0.1", 5)
    shards.acceptor_gone("a1.1")
    assert shards.is_routed(7)


def test_without_acceptors_there_is_nothing_to_await(shards):
    shards.membership(1, set(), {7: 3})
    assert shards.is_routed(7)


def test_lost_and_lost_and_won_again(shards):
    assert shards.membership(1, set(), {7: 3, 8: 3, 9: 3}) == frozenset()
    assert shards.membership(2, {"a0.1"}, {7: 3, 8: 5}) == {8, 9}
    assert shards.is_routed(7)
    assert (shards.generation(8), shards.is_routed(8)) == (5, False)
    assert shards.generation(9) is None


def test_early_frames_come_out_in_order_and_once(shards, room):
    shards.membership(1, {"a0.1"}, {7: 3, 8: 3})
    frames = [early(), Early("a0.1", Attach(1, "montague.example", 4)), early(200)]
    assert all(shards.wait(7, frame) for frame in frames)
    assert list(shards.take_early()) == []
    assert room.used_bytes > 300
    shards.announced("a0.1", 1)
    assert list(shards.take_early()) == frames
    assert list(shards.take_early()) == []
    assert room.used_bytes == 0


def test_early_frames_are_bounded_and_go_with_their_shard(shards, room):
    shards.membership(1, {"a0.1"}, {7: 3})
    assert shards.wait(7, early(900))
    assert not shards.wait(7, early(101))
    assert shards.wait(7, early(100))
    shards.membership(2, {"a0.1"}, {})
    assert room.used_bytes == 0


def test_questions_are_bounded_too(shards):
    shards.membership(1, {"a0.1"}, {7: 3})
    asked = [
        shards.wait(7, Early("a0.1", Attach(request, "montague.example", 4)))
        for request in range(20)
    ]
    assert asked[0]
    assert not asked[-1]
