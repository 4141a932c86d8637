"""A hosted domain that is away: its stanzas wait, in order, for as long as it may take."""

import pytest

from router.config import Limits
from router.wire.frames import Announced, Attached, Data, Detached, Forward, Frame, Reject
from router.wire.shard import SHARDS
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from workers.backlog import Room
from workers.grace import Grace
from workers.routing import Routing, Send

MONTAGUE, VERONA = "montague.example", "verona.example"
IN = DomainPair("capulet.example", MONTAGUE)
ALSO_IN = DomainPair("tybalt.example", MONTAGUE)
ELSEWHERE = DomainPair("capulet.example", VERONA)
HOSTED = frozenset({MONTAGUE, VERONA})
GRACE_S = 5.0
LIMITS = Limits(backlog_bytes=2000, backlog_stanzas=6, component_grace_s=GRACE_S)
A, B = "a0.1", "a1.1"


def run(first: int, pair: DomainPair = IN, *, lane: int = 1, epoch: int = 1) -> Data:
    return Data(lane, epoch, first, Counts(1, 0, 0), pair, 1, None, b"<message/>")


class Talk:
    """A worker that routes every shard, long after its start."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.routing = Routing(HOSTED, limits)
        self.now = 0.0
        self.routing.membership(1, (A, B), dict.fromkeys(range(SHARDS), 1), self.now)
        for acceptor in (A, B):
            self.says(acceptor, Announced(1))

    def says(self, source: str, frame: Frame) -> list[Send]:
        return self.routing.receive(source, frame, self.now)

    def at(self, now: float) -> list[Send]:
        self.now = now
        return self.routing.deadline_passed(now)


def firsts(sends: list[Send], kind: type[Frame]) -> list[int]:
    assert all(isinstance(send.frame, kind) for send in sends), sends
    return [send.frame.first for send in sends]  # type: ignore[attr-defined]


def detached(talk: Talk) -> None:
    talk.says(A, Attached(MONTAGUE, 4))
    talk.at(100.0)
    talk.says(A, Detached(MONTAGUE, 4))


@pytest.mark.clause("CMP-06")
def test_what_comes_meanwhile_is_delivered_in_order_once_the_domain_is_back() -> None:
    talk = Talk()
    detached(talk)
    assert [talk.says(B, run(n)) for n in (1, 2, 3)] == [[], [], []]
    talk.at(100.0 + GRACE_S - 0.1)
    sends = talk.says(B, Attached(MONTAGUE, 9))
    assert firsts(sends, Forward) == [1, 2, 3]
    assert {(send.acceptor, send.frame.stream) for send in sends} == {(B, 9)}  # type: ignore[attr-defined]
    assert talk.routing.deadline() is None or talk.at(1000.0) == []
    assert talk.routing.queue_bytes() == 0


@pytest.mark.clause("CMP-06", "RTE-11")
def test_the_grace_runs_from_the_loss_and_then_all_is_refused_at_once() -> None:
    talk = Talk()
    detached(talk)
    talk.says(B, run(1))
    talk.now += GRACE_S - 1
    talk.says(B, run(2))
    assert talk.at(talk.now) == []
    assert talk.routing.deadline() == 100.0 + GRACE_S
    refused = talk.at(100.0 + GRACE_S)
    assert firsts(refused, Reject) == [1, 2]
    assert {(s.frame.condition, s.frame.type) for s in refused} == {  # type: ignore[attr-defined]
        ("remote-server-timeout", "wait")
    }
    assert talk.routing.deadline() is None
    assert firsts(talk.says(B, run(3)), Reject) == [3]
    assert talk.routing.queue_bytes() == 0


@pytest.mark.clause("CMP-06")
def test_a_domain_that_has_not_attached_yet_has_the_same_grace_from_the_start() -> None:
    talk = Talk()
    assert talk.says(A, run(1)) == []
    assert firsts(talk.at(GRACE_S), Reject) == [1]
    assert firsts(talk.says(A, run(2)), Reject) == [2]


@pytest.mark.clause("CMP-06")
def test_what_may_wait_is_bounded_for_each_pair() -> None:
    talk = Talk()
    detached(talk)
    for number in range(1, 7):
        assert talk.says(A, run(number)) == []
    (refused,) = talk.says(A, run(7))
    assert (refused.frame.first, refused.frame.condition) == (7, "resource-constraint")  # type: ignore[attr-defined]
    assert talk.says(A, run(1, ALSO_IN, lane=2)) == []


def test_another_domain_does_not_end_the_wait() -> None:
    talk = Talk()
    detached(talk)
    talk.says(A, run(1))
    talk.says(A, run(1, ELSEWHERE, lane=3))
    talk.says(A, Attached(VERONA, 5))
    assert firsts(talk.at(100.0 + GRACE_S), Reject) == [1]


def test_a_component_that_is_refused_does_not_prolong_an_absence() -> None:
    talk = Talk()
    detached(talk)
    talk.at(100.0 + GRACE_S)
    talk.says(B, Detached(MONTAGUE, 8))
    assert firsts(talk.says(A, run(1)), Reject) == [1]


def test_the_death_of_its_acceptor_is_an_absence_too() -> None:
    talk = Talk()
    talk.says(A, Attached(MONTAGUE, 4))
    talk.now = 100.0
    talk.routing.membership(2, (B,), dict.fromkeys(range(SHARDS), 1), talk.now)
    assert talk.says(B, run(1)) == []
    assert firsts(talk.at(100.0 + GRACE_S), Reject) == [1]


def test_a_drain_waits_for_no_component() -> None:
    talk = Talk()
    detached(talk)
    talk.says(A, run(1))
    assert firsts(talk.routing.drain(talk.now), Reject) == [1]
    assert firsts(talk.says(A, run(2)), Reject) == [2]


def test_without_grace_nothing_waits() -> None:
    talk = Talk(Limits(component_grace_s=0))
    detached(talk)
    assert firsts(talk.says(A, run(1)), Reject) == [1]


def test_runs_that_are_sent_again_and_lost_shards_leave_nothing_behind() -> None:
    room = Room()
    grace = Grace(HOSTED, LIMITS, room)
    grace.begin(0.0)
    grace.wait(A, run(1), 0.0)
    grace.wait(A, run(1, lane=2), 0.0)
    grace.discard(IN, A, 1)
    assert room.used_bytes == 10
    grace.discard(IN, A, 2)
    assert (grace.expires_s(), room.used_bytes) == (None, 0)
    grace.wait(A, run(1), 0.0)
    grace.shards_lost(range(SHARDS))
    assert (grace.take(MONTAGUE), room.used_bytes) == ([], 0)
    grace.begin(50.0)
    assert grace.is_over(MONTAGUE, 50.0), "it begins once"
