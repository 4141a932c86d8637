"""The egress half of a lane: in order, once, and reported as far as it got."""

from router.wire.egress import Outlet
from router.wire.frames import Forward, Progress, Returned
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

PAIR = DomainPair("capulet.example", "montague.example")


def forward(first: int, count: int = 1, *, lane: int = 5, owner: str = "a0.1", epoch: int = 1):
    return Forward(owner, lane, epoch, first, Counts(count, 0, 0), PAIR, 1, 9, b"x")


def test_a_run_is_taken_once():
    outlet = Outlet(9, "tcp")
    assert outlet.take(forward(1, 3))
    assert not outlet.take(forward(1, 3))
    assert outlet.take(forward(4))


def test_lanes_of_other_owners_are_other_lanes():
    outlet = Outlet(9, "tcp")
    assert outlet.take(forward(1, owner="a0.1"))
    assert outlet.take(forward(1, owner="a1.1"))
    assert outlet.take(forward(1, lane=6))


def test_reports_follow_the_octets_that_were_acknowledged():
    outlet = Outlet(9, "tcp")
    outlet.take(forward(1, 2))
    outlet.flushed(100)
    outlet.take(forward(3))
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 0, "tcp"))]
    outlet.flushed(150)
    outlet.acknowledged(149)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 2, "tcp"))]
    outlet.acknowledged(150)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 3, "tcp"))]
    assert not outlet.is_waiting()


def test_a_closed_stream_returns_what_did_not_arrive_and_says_what_is_in_doubt():
    outlet = Outlet(9, "tcp")
    outlet.take(forward(1))
    outlet.take(forward(2))
    outlet.flushed(10)
    outlet.acknowledged(0)
    outlet.take(forward(3))
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 1, 2))]
    assert not outlet.is_waiting()


def test_a_closed_stream_tells_idle_lanes_too_so_that_they_move_on():
    outlet = Outlet(9, "tcp")
    outlet.take(forward(1))
    outlet.flushed(10)
    outlet.acknowledged(10)
    list(outlet.reports())
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 2, 1))]


def test_ended_lanes_and_dead_owners_are_forgotten():
    outlet = Outlet(9, "tcp")
    outlet.take(forward(1, lane=5))
    outlet.take(forward(1, lane=6))
    outlet.take(forward(1, owner="a1.1"))
    outlet.ended("a0.1", 5)
    outlet.owner_gone("a1.1")
    assert [owner for owner, _ in outlet.close()] == ["a0.1"]


def test_a_lane_may_skip_what_was_rejected_on_its_way():
    outlet = Outlet(9, "tcp")
    outlet.take(forward(1))
    assert outlet.take(forward(5))
    assert not outlet.take(forward(3))


def test_a_run_that_is_rejected_here_is_taken_and_waits_for_nobody():
    outlet = Outlet(9, "tcp")
    assert outlet.is_new(forward(1, 3))
    outlet.take(forward(1, 3), is_written=False)
    assert not outlet.is_new(forward(1, 3))
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 0, "tcp"))]
    assert not outlet.is_waiting()
    outlet.take(forward(4))
    outlet.flushed(10)
    outlet.acknowledged(10)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 4, 4, "tcp"))]


def test_a_run_that_came_too_late_goes_back_with_its_lane_or_alone():
    """Alone only where nothing of its lane is here: what is on its way must not be sent again."""
    outlet = Outlet(9, "tcp")
    outlet.take(forward(1, 2))
    outlet.flushed(100)
    assert outlet.decline(forward(3, epoch=4)) is None
    assert outlet.decline(forward(7, lane=6, epoch=2)) == Returned(6, 2, 7, 6)
    outlet.acknowledged(100)
    assert list(outlet.close()) == [("a0.1", Returned(5, 4, 3, 2))]
