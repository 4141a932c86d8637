"""What a lane keeps: runs are cut where one outcome ends and another begins, and nowhere else."""

from hypothesis import given
from hypothesis import strategies as st

from router.wire.lane import Kept, Lane
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts, cut

PAIR = DomainPair("capulet.example", "montague.example")


def lane_of(*sizes: int) -> Lane:
    lane = Lane(1, PAIR, 0, 3)
    for size in sizes:
        octets = b"".join(f"<message id='{lane.next + n}'/>".encode() for n in range(size))
        lane.kept.append(Kept(lane.next, lane.next + size - 1, Counts(size, 0, 0), octets))
        lane.next += size
    return lane


def spans(lane: Lane) -> list[tuple[int, int]]:
    return [(run.first, run.last) for run in lane.kept]


def test_before_is_what_precedes_the_first_kept_or_all_there_ever_was():
    lane = lane_of(2, 1)
    assert lane.before() == 0
    lane.kept.popleft()
    assert lane.before() == 2
    lane.kept.clear()
    assert lane.before() == 3


def test_what_lies_within_is_taken_out_whole():
    lane = lane_of(2, 1, 3)
    assert [(run.first, run.last) for run in lane.take_out(2, 5)] == [(3, 3)]
    assert spans(lane) == [(1, 2), (4, 6)]
    assert lane.take_out(3, 3) == []


def test_of_a_run_handled_in_part_the_beginning_is_taken_out():
    lane = lane_of(4)
    assert lane.handed_in_part() == []
    lane.done = 3
    assert [(run.first, run.last) for run in lane.handed_in_part()] == [(1, 3)]
    assert spans(lane) == [(4, 4)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 20), st.integers(0, 20))
def test_splitting_loses_nothing_and_leaves_nothing_across_the_ends(sizes, first, length):
    lane, last = lane_of(*sizes), first + length
    octets = b"".join(run.octets for run in lane.kept)
    lane.split(first, last)
    assert b"".join(run.octets for run in lane.kept) == octets
    expected = 1
    for run in lane.kept:
        assert run.first == expected
        assert run.last - run.first + 1 == run.counts.total == len(list(cut(run.octets)))
        assert not (run.first < first <= run.last or run.first <= last < run.last)
        expected = run.last + 1
    assert expected == lane.next
