"""The queue of a pair: order, its bounds in octets, stanzas and seconds, the bound on all."""

import pytest

from router.config import Limits
from router.wire.frames import Data
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from workers.backlog import Backlog, Room

PAIR = DomainPair("montague.example", "capulet.example")
LIMITS = Limits(backlog_bytes=1100, backlog_stanzas=10, backlog_s=30)


def run(first: int, count: int = 1, size: int = 100, lane: int = 1) -> Data:
    return Data(lane, 1, first, Counts(count, 0, 0), PAIR, 1, None, b"x" * size)


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def backlog(room: Room) -> Backlog:
    return Backlog(LIMITS, room)


@pytest.mark.clause("DBK-19")
def test_runs_leave_in_the_order_they_came(backlog, room):
    assert not backlog
    for first in range(1, 6):
        assert backlog.append("a0.1", run(first), now=0)
    assert backlog
    assert (backlog.octets, backlog.stanzas, room.used_bytes) == (500, 5, 500)
    assert [queued.data.first for queued in backlog.take_all()] == [1, 2, 3, 4, 5]
    assert (backlog.octets, backlog.stanzas, room.used_bytes) == (0, 0, 0)


@pytest.mark.clause("DBK-05")
def test_octets_are_bounded(backlog):
    assert backlog.append("a0.1", run(1, size=1000), now=0)
    assert not backlog.append("a0.1", run(2, size=101), now=0)
    assert backlog.append("a0.1", run(2, size=100), now=0)
    assert backlog.octets == 1100


@pytest.mark.clause("DBK-05")
def test_stanzas_are_bounded(backlog):
    assert backlog.append("a0.1", run(1, count=8), now=0)
    assert not backlog.append("a0.1", run(9, count=3), now=0)
    assert backlog.append("a0.1", run(9, count=2), now=0)
    assert backlog.stanzas == 10


def test_all_queues_together_are_bounded():
    room = Room(150)
    one, other = Backlog(LIMITS, room), Backlog(LIMITS, room)
    assert one.append("a0.1", run(1), now=0)
    assert not other.append("a0.1", run(1), now=0)
    one.take_all()
    assert other.append("a0.1", run(1), now=0)


def test_runs_expire_one_by_one(backlog, room):
    assert backlog.expires_s() is None
    backlog.append("a0.1", run(1), now=0)
    backlog.append("a0.1", run(2), now=10)
    assert backlog.expires_s() == 30
    assert backlog.take_expired(29.9) == []
    assert [queued.data.first for queued in backlog.take_expired(30)] == [1]
    assert backlog.expires_s() == 40
    assert (backlog.octets, backlog.stanzas, room.used_bytes) == (100, 1, 100)


def test_a_lane_that_is_sent_again_is_discarded_alone(backlog, room):
    backlog.append("a0.1", run(1, lane=1), now=0)
    backlog.append("a0.1", run(1, lane=2), now=0)
    backlog.append("a1.1", run(1, lane=1), now=0)
    backlog.discard("a0.1", 1)
    assert (backlog.octets, backlog.stanzas, room.used_bytes) == (200, 2, 200)
    assert [(q.source, q.data.lane) for q in backlog.take_all()] == [("a0.1", 2), ("a1.1", 1)]
