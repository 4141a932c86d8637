"""Leases as an acceptor knows them: who owns, who may speak, what is too old."""

from router.wire.leases import Leases, is_worker
from router.wire.shard import SHARDS


def test_a_lease_is_not_live_before_it_is_said_to_be():
    leases = Leases()
    leases.lease(3, "w0.1", 5)
    assert (leases.owners[3], leases.generations[3], leases.live[3]) == ("w0.1", 5, False)
    leases.live[3] = True
    leases.lease(3, "w0.1", 6)
    assert not leases.live[3]


def test_a_fence_only_rises():
    leases = Leases()
    leases.fence([(3, 5), (4, 1)])
    leases.fence([(3, 2), (SHARDS, 9), (-1, 9)])
    assert leases.fences[3:5] == [5, 1]
    assert max(leases.fences) == 5


def test_an_acceptor_may_always_judge_and_a_worker_only_under_its_live_lease():
    leases = Leases()
    leases.lease(3, "w0.1", 5)
    assert leases.may_judge(3, "a0.1")
    assert not leases.may_judge(3, "w0.1")
    leases.live[3] = True
    assert leases.may_judge(3, "w0.1")
    assert not leases.may_judge(3, "w0.2")


def test_what_is_not_said_to_speak_another_version_speaks_the_usual_one():
    leases = Leases()
    leases.speaks.update({"a1.1": 1, "a2.1": 3})
    assert [leases.version_of(each) for each in ("a0.1", "a1.1", "a2.1")] == [2, 1, 3]
    assert [leases.keeps_lanes(each) for each in ("a0.1", "a1.1", "a2.1")] == [True, False, True]


def test_workers_are_told_by_their_ids():
    assert is_worker("w2.1")
    assert not is_worker("a2.1")
