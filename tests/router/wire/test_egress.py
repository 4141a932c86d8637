"""The egress half of a lane: in order, once, and reported as far as it got."""

import pytest

from router.wire.egress import Outlet, Verdict
from router.wire.frames import Again, Forward, Hold, Progress, Returned
from router.wire.shard import SHARDS, shard_of
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

PAIR = DomainPair("capulet.example", "montague.example")


def forward(
    first: int,
    count: int = 1,
    *,
    lane: int = 5,
    owner: str = "a0.1",
    epoch: int = 1,
    after: int = 0,
    octets: bytes = b"x",
) -> Forward:
    return Forward(owner, lane, epoch, first, Counts(count, 0, 0), PAIR, 1, 9, after, octets)


def take(outlet: Outlet, frame: Forward) -> bool:
    """As `acceptor.egress` does: take what comes next."""
    is_next = outlet.judge(frame) is Verdict.NEXT
    if is_next:
        outlet.take(frame, frame.counts.total)
    return is_next


def test_a_run_is_taken_once():
    outlet = Outlet(9, "tcp")
    assert take(outlet, forward(1, 3))
    assert outlet.judge(forward(1, 3)) is Verdict.SEEN
    assert take(outlet, forward(4, after=3))


def test_lanes_of_other_owners_are_other_lanes():
    outlet = Outlet(9, "tcp")
    assert take(outlet, forward(1, owner="a0.1"))
    assert take(outlet, forward(1, owner="a1.1"))
    assert take(outlet, forward(1, lane=6))


def test_what_came_again_is_reported_again():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, 3))
    list(outlet.reports())
    outlet.seen(forward(1, 3, epoch=2))
    assert list(outlet.reports()) == [("a0.1", Progress(5, 2, 9, 3, 0, "tcp"))]


def test_what_misses_something_before_it_is_a_gap_and_asked_for_once():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, 2))
    assert outlet.judge(forward(5, after=4)) is Verdict.GAP
    assert outlet.drop(forward(5, after=4)) == Again(5, 1, 2, 0, True)
    assert outlet.drop(forward(6, after=5)) is None
    assert take(outlet, forward(3, 2))
    assert outlet.drop(forward(6, after=5)) is None, "of course: 5 has not come again yet"
    assert take(outlet, forward(5, 2))
    assert outlet.drop(forward(9, after=8)) == Again(5, 1, 6, 0, True)


def test_a_gap_where_the_first_run_should_be():
    outlet = Outlet(9, "tcp")
    assert outlet.judge(forward(5, after=4)) is Verdict.GAP
    assert outlet.drop(forward(5, after=4)) == Again(5, 1, 0, 0, True)
    assert outlet.judge(forward(5, after=4)) is Verdict.GAP
    assert take(outlet, forward(4))
    assert take(outlet, forward(5, after=4))


def test_a_lane_may_skip_what_was_rejected_on_its_way():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    assert take(outlet, forward(5, after=1))
    assert outlet.judge(forward(3)) is Verdict.SEEN


def test_a_full_stream_holds_the_lanes_that_send_and_tells_each_once():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    take(outlet, forward(1, lane=6))
    assert outlet.hold(forward(2, after=1), is_moving=True) == Hold(5, 1, True)
    assert outlet.hold(forward(3, after=2), is_moving=True) is None
    assert list(outlet.hold_on(is_moving=True)) == []
    stuck = [("a0.1", Hold(5, 1, False)), ("a0.1", Hold(6, 1, False))]
    assert list(outlet.hold_on(is_moving=False)) == stuck, "who waits for a dead peer, too"
    assert list(outlet.hold_on(is_moving=False)) == []
    assert outlet.drop(forward(2, after=1)) is None, "it is told to go on when the hold ends"
    assert outlet.is_holding()
    assert list(outlet.release(1000)) == [
        ("a0.1", Again(5, 1, 1, 0, True)),
        ("a0.1", Again(6, 1, 1, 0, False)),
    ]
    assert not outlet.is_holding()


def test_what_was_dropped_is_asked_for_once_and_only_that():
    """Who is sent what he has may forget the lane meanwhile, and take it for new."""
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    outlet.hold(forward(2, after=1), is_moving=True)
    outlet.drop(forward(2, after=1))
    assert list(outlet.release(1000)) == [("a0.1", Again(5, 1, 1, 0, True))]
    outlet.hold(forward(3, after=2), is_moving=True)
    assert outlet.drop(forward(3, after=2)) is None, "on its way before it was asked for"
    assert list(outlet.release(1000)) == [("a0.1", Again(5, 1, 1, 0, False))]
    outlet.hold(forward(2), is_moving=True)
    assert outlet.drop(forward(2)) is None, "the very one that was asked for"
    assert list(outlet.release(1000)) == [("a0.1", Again(5, 1, 1, 0, True))]
    assert take(outlet, forward(2))
    outlet.hold(forward(3), is_moving=True)
    assert list(outlet.release(1000)) == [("a0.1", Again(5, 1, 2, 0, False))]


def test_what_fills_a_gap_does_not_hide_what_is_missing_behind_it():
    """A copy of the run may come by another way; what was dropped silently is still missing."""
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    outlet.hold(forward(2, after=1), is_moving=True)
    assert outlet.drop(forward(2, after=1)) is None
    assert outlet.drop(forward(3, after=2)) is None
    assert take(outlet, forward(2, after=1))
    assert list(outlet.release(100)) == [("a0.1", Again(5, 1, 2, 0, is_short=True))]
    assert take(outlet, forward(3, after=2))
    outlet.hold(forward(4, after=3), is_moving=True)
    assert list(outlet.release(100)) == [("a0.1", Again(5, 1, 3, 0, is_short=False))]


def test_of_many_lanes_on_hold_each_gets_its_part_of_the_room_and_idle_ones_go_free():
    outlet = Outlet(9, "tcp")
    for lane in range(20):
        take(outlet, forward(1, lane=lane))
        outlet.hold(forward(2, lane=lane), is_moving=True)
    assert [again.octets for _, again in outlet.release(1000)] == [50] * 20
    for lane in range(10):
        take(outlet, forward(2, lane=lane, after=1))
    assert [again.octets for _, again in outlet.release(1000)] == [50] * 10 + [0] * 10
    assert outlet.is_holding()
    assert {again.octets for _, again in outlet.release(1000)} == {0}
    assert not outlet.is_holding()


def test_reports_are_repeated_once():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    report = ("a0.1", Progress(5, 1, 9, 1, 0, "tcp"))
    assert list(outlet.reports()) == [report]
    assert list(outlet.repeats()) == [report]
    assert list(outlet.repeats()) == []


def test_who_asks_hears_of_every_lane_of_its_own_in_these_shards():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, 2))
    take(outlet, forward(1, lane=6))
    take(outlet, forward(1, owner="a1.1"))
    shard = shard_of(*PAIR)
    assert list(outlet.of_owner("a0.1", {shard})) == [
        Progress(5, 1, 9, 2, 0, "tcp"),
        Progress(6, 1, 9, 1, 0, "tcp"),
    ]
    assert list(outlet.of_owner("a0.1", set(range(SHARDS)) - {shard})) == []


def test_a_managed_stream_is_done_with_what_the_peer_has_handled():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    outlet.flushed(10)
    outlet.managed()
    take(outlet, forward(2, 3, after=1))
    outlet.flushed(20)
    take(outlet, forward(5, after=4))
    assert outlet.unhandled() == 4
    outlet.acknowledged(20)
    outlet.handled(2)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 5, 1, "sm"))]
    outlet.handled(3)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 5, 4, "sm"))]
    assert outlet.unhandled() == 1
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 5, 4))], "it had not left"


def test_what_a_managed_stream_sent_unhandled_is_in_doubt():
    outlet = Outlet(9, "tcp")
    outlet.managed()
    take(outlet, forward(1, 2))
    take(outlet, forward(3, after=2))
    outlet.flushed(20)
    outlet.acknowledged(20)
    outlet.handled(2)
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 3, 3))]


def test_a_run_that_is_handled_in_part_is_reported_to_the_stanza_at_the_end():
    outlet = Outlet(9, "tcp")
    outlet.managed()
    take(outlet, forward(1, 4))
    take(outlet, forward(5, 2, after=4))
    outlet.flushed(20)
    outlet.handled(3)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 6, 0, "sm"))]
    assert list(outlet.close()) == [
        ("a0.1", Progress(5, 1, 9, 6, 3, "sm")),
        ("a0.1", Returned(5, 1, 4, 6)),
    ]


@pytest.mark.clause("SMX-09")
def test_a_resumed_stream_leaves_nothing_in_doubt():
    outlet = Outlet(9, "tcp")
    outlet.managed()
    take(outlet, forward(1, 4))
    take(outlet, forward(5, 2, after=4))
    take(outlet, forward(1, 1, lane=6))
    outlet.flushed(20)
    outlet.settled(3)
    reports = sorted(outlet.reports(), key=lambda told: told[1].lane)
    assert [(report.lane, report.done) for _, report in reports] == [(5, 3), (6, 0)]
    assert list(outlet.close()) == [
        ("a0.1", Returned(5, 1, 4, 3)),
        ("a0.1", Returned(6, 1, 1, 0)),
    ]


def test_a_run_of_which_a_part_was_not_written_is_not_cut_open():
    outlet = Outlet(9, "tcp")
    outlet.managed()
    outlet.take(forward(1, 4), 3)
    outlet.flushed(20)
    outlet.handled(2)
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 1, 4))]


def test_a_peer_that_refuses_to_count_is_done_with_what_its_kernel_has():
    outlet = Outlet(9, "tcp")
    outlet.managed()
    take(outlet, forward(1))
    outlet.flushed(10)
    take(outlet, forward(2, after=1))
    outlet.flushed(20)
    take(outlet, forward(3, after=2))
    outlet.acknowledged(10)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 0, "sm"))]
    outlet.unmanaged()
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 1, "tcp"))]
    outlet.flushed(30)
    outlet.acknowledged(20)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 2, "tcp"))]
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 3, 3))]


def test_what_waits_for_the_peers_count_alone_waits_for_nothing_that_can_be_polled():
    outlet = Outlet(9, "tcp")
    outlet.managed()
    take(outlet, forward(1))
    outlet.flushed(10)
    list(outlet.reports())
    assert outlet.is_waiting()
    outlet.acknowledged(10)
    assert not outlet.is_waiting()
    assert outlet.unhandled() == 1


def test_where_leaving_is_enough_nothing_is_in_doubt_that_has_left():
    outlet = Outlet(9, "write")
    take(outlet, forward(1))
    outlet.flushed(10)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 1, 1, "write"))]
    assert outlet.is_unacknowledged()
    take(outlet, forward(2, after=1))
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 2, 1))]


def test_reports_follow_the_octets_that_were_acknowledged():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, 2))
    outlet.flushed(100)
    take(outlet, forward(3))
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 0, "tcp"))]
    outlet.flushed(150)
    outlet.acknowledged(149)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 2, "tcp"))]
    outlet.acknowledged(150)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 3, "tcp"))]
    assert not outlet.is_waiting()


def test_a_closed_stream_returns_what_did_not_arrive_and_says_what_is_in_doubt():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    take(outlet, forward(2))
    outlet.flushed(10)
    outlet.acknowledged(0)
    take(outlet, forward(3))
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 1, 2))]
    assert not outlet.is_waiting()


def test_a_closed_stream_tells_idle_lanes_too_so_that_they_move_on():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    outlet.flushed(10)
    outlet.acknowledged(10)
    list(outlet.reports())
    assert list(outlet.close()) == [("a0.1", Returned(5, 1, 2, 1))]


def test_ended_lanes_and_dead_owners_are_forgotten():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, lane=5))
    take(outlet, forward(1, lane=6))
    take(outlet, forward(1, owner="a1.1"))
    outlet.ended("a0.1", 5)
    outlet.owner_gone("a1.1")
    assert [owner for owner, _ in outlet.close()] == ["a0.1"]


def test_a_run_that_is_rejected_here_is_taken_and_waits_for_nobody():
    outlet = Outlet(9, "tcp")
    assert outlet.judge(forward(1, 3)) is Verdict.NEXT
    outlet.take(forward(1, 3), 0)
    assert outlet.judge(forward(1, 3)) is Verdict.SEEN
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 3, 0, "tcp"))]
    assert not outlet.is_waiting()
    take(outlet, forward(4))
    outlet.flushed(10)
    outlet.acknowledged(10)
    assert list(outlet.reports()) == [("a0.1", Progress(5, 1, 9, 4, 4, "tcp"))]


def test_a_run_that_came_too_late_goes_back_with_its_lane_or_alone():
    """Alone only where nothing of its lane is here: what is on its way must not be sent again."""
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, 2))
    outlet.flushed(100)
    assert outlet.decline(forward(3, epoch=4)) is None
    assert outlet.decline(forward(7, lane=6, epoch=2)) == Returned(6, 2, 7, 6)
    outlet.acknowledged(100)
    assert list(outlet.close()) == [("a0.1", Returned(5, 4, 3, 2))]


# --- lanes that go elsewhere while the stream stays ---


def sent(outlet: Outlet, last: int) -> None:
    """What was taken so far has left, and ends at this offset."""
    outlet.flushed(last)


def test_a_lane_leaves_once_all_it_sent_is_acknowledged():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, 3))
    sent(outlet, 100)
    outlet.leave(PAIR)
    assert list(outlet.left()) == []
    outlet.acknowledged(100)
    assert list(outlet.left()) == [("a0.1", Returned(5, 1, 4, 3))]
    assert list(outlet.left()) == []


def test_a_lane_that_is_to_leave_takes_nothing_more():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, 3))
    sent(outlet, 100)
    outlet.leave(PAIR)
    assert outlet.judge(forward(4, after=3)) is Verdict.LATE
    outlet.acknowledged(100)
    list(outlet.left())
    assert outlet.judge(forward(4)) is Verdict.LATE  # on its way since before


def test_a_lane_may_come_back_in_a_later_epoch():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    outlet.leave(PAIR)
    sent(outlet, 10)
    outlet.acknowledged(10)
    list(outlet.left())
    assert take(outlet, forward(7, epoch=3))


def test_only_the_pair_that_is_released_leaves():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1))
    outlet.leave(PAIR.inverse())
    assert take(outlet, forward(2, after=1))
    assert list(outlet.left()) == []


def test_a_lane_leaves_a_managed_stream_when_the_peer_has_handled_all():
    outlet = Outlet(9, "tcp")
    outlet.managed()
    take(outlet, forward(1, 2))
    sent(outlet, 100)
    outlet.leave(PAIR)
    outlet.acknowledged(100)
    assert list(outlet.left()) == []
    outlet.handled(2)
    assert list(outlet.left()) == [("a0.1", Returned(5, 1, 3, 2))]


def test_what_was_rejected_whole_holds_nobody_up():
    outlet = Outlet(9, "tcp")
    outlet.take(forward(1, 2), 0)
    outlet.leave(PAIR)
    assert list(outlet.left()) == [("a0.1", Returned(5, 1, 1, 0))]


def test_a_stream_that_goes_meanwhile_returns_everything_once():
    outlet = Outlet(9, "tcp")
    take(outlet, forward(1, 3))
    sent(outlet, 100)
    outlet.leave(PAIR)
    assert [frame for _, frame in outlet.close()] == [Returned(5, 1, 1, 3)]
    assert list(outlet.left()) == []
