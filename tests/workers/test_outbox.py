"""What a worker says of runs: numbers that tell gaps, and rejections that end epochs."""

from router.wire.frames import Data, Forward, Joined, Reject, Returned, StreamId
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from workers.lanes import Lanes
from workers.outbox import Outbox, Send

PAIR = DomainPair("montague.example", "capulet.example")
STREAM = StreamId("a1.1", 9)
LANE = ("a0.1", 1)


def run(first: int, count: int = 1) -> Data:
    return Data(1, 1, first, Counts(count, 0, 0), PAIR, 7, None, b"<message/>" * count)


def outbox(*acceptors: str) -> tuple[Outbox, Lanes]:
    lanes = Lanes()
    out = Outbox(lanes)
    out.acceptors = frozenset(acceptors)
    lanes.begin(LANE, PAIR, 1)
    return out, lanes


def test_a_forward_says_what_was_forwarded_before_it():
    out, lanes = outbox("a0.1", "a1.1")
    lanes.bind(LANE, STREAM)
    epoch = lanes.find(LANE)
    for first, count in ((1, 3), (9, 1), (4, 2), (6, 1)):
        out.forward("a0.1", run(first, count), STREAM, epoch)
    frames = [send.frame for send in out.take()]
    assert all(isinstance(frame, Forward) for frame in frames)
    assert [frame.after for frame in frames] == [0, 3, 0, 5]
    assert (epoch.last, epoch.most) == (6, 9)
    assert out.take() == []


def test_a_rejection_refuses_the_epoch():
    out, lanes = outbox("a0.1")
    out.reject("a0.1", run(4, 2), StanzaError.of("resource-constraint", "full"))
    assert out.take() == [Send("a0.1", Reject(1, 1, 4, 2, "resource-constraint", "wait", "full"))]
    assert lanes.find(LANE).is_refused
    out.give_back("a0.1", run(6))
    assert out.take() == [Send("a0.1", Returned(1, 1, 6, 5))]


def test_a_rejection_in_an_epoch_long_replaced_refuses_nothing():
    out, lanes = outbox("a0.1")
    lanes.begin(LANE, PAIR, 2)
    out.reject("a0.1", run(4), StanzaError.of("resource-constraint", "full"))
    assert not lanes.find(LANE).is_refused


def test_lanes_that_left_by_an_acceptor_that_died_go_back_as_far_as_they_were_forwarded():
    out, lanes = outbox("a0.1", "a1.1")
    lanes.bind(LANE, STREAM)
    out.forward("a0.1", run(1, 5), STREAM, lanes.find(LANE))
    out.take()
    out.return_lanes("a9.1")
    assert out.take() == []
    out.return_lanes("a1.1")
    assert out.take() == [Send("a0.1", Returned(1, 1, 0, 5))]


def test_nothing_goes_to_who_is_not_here():
    out, _ = outbox("a0.1")
    out.send("a1.1", Joined(1))
    assert out.take() == []
