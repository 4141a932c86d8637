"""Routing as conversations: what acceptors say, and every frame that comes back."""

import pytest

from router.config import Limits
from router.wire.frames import (
    Announced,
    Attach,
    AttachAnswer,
    Attached,
    Data,
    Detached,
    Dial,
    DialFailed,
    Dialling,
    Forward,
    Frame,
    Granted,
    Joined,
    Progress,
    Reject,
    Release,
    Retire,
    Returned,
    Revoked,
    StreamId,
    Verify,
    VerifyKey,
)
from router.wire.shard import SHARDS, shard_of
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from workers.outbox import Send
from workers.routing import SETTLE_FIRST_S, SETTLE_SECOND_S, Routing

A, B, C = "a0.1", "a1.1", "a2.1"
OUT = DomainPair("montague.example", "capulet.example")
IN = OUT.inverse()
OUT_LOWER = DomainPair("montague.example", "zeno.example")
INSIDE = DomainPair("montague.example", "verona.example")
TRANSIT = DomainPair("capulet.example", "tybalt.example")
HOSTED = frozenset({"montague.example", "verona.example"})
LIMITS = Limits(backlog_bytes=2000, backlog_stanzas=6, backlog_s=30)
LONG_AFTER_START = LIMITS.component_grace_s
ALL_SHARDS = dict.fromkeys(range(SHARDS), 1)
GENERATION_2 = dict.fromkeys(range(SHARDS), 2)
NOT_FOUND = ("remote-server-not-found", "cancel")
TIMEOUT = ("remote-server-timeout", "wait")
FULL = ("resource-constraint", "wait")


class Talk:
    """A worker and the clock; `says` returns what it sends on hearing a frame."""

    def __init__(self, acceptors: tuple[str, ...] = (A, B)) -> None:
        self.routing = Routing(HOSTED, LIMITS)
        self.now = 0.0
        self.version = 0
        self.acceptors: tuple[str, ...] = ()
        self.here(*acceptors)
        for acceptor in acceptors:
            self.says(acceptor, Announced(self.version))

    def here(self, *acceptors: str, owned: dict[int, int] = ALL_SHARDS) -> list[Send]:
        self.version += 1
        self.acceptors = acceptors
        return self.routing.membership(self.version, acceptors, owned, self.now)

    def says(self, source: str, frame: Frame) -> list[Send]:
        return self.routing.receive(source, frame, self.now)

    def at(self, now: float) -> list[Send]:
        self.now = now
        return self.routing.deadline_passed(now)


@pytest.fixture
def talk() -> Talk:
    return Talk()


def run(
    first: int,
    pair: DomainPair = OUT,
    *,
    lane: int = 1,
    epoch: int = 1,
    count: int = 1,
    generation: int = 1,
    egress: StreamId | None = None,
    octets: bytes = b"<message/>",
) -> Data:
    return Data(lane, epoch, first, Counts(count, 0, 0), pair, generation, egress, octets)


def forwarded(owner: str, data: Data, stream: StreamId, after: int | None = None) -> Send:
    return Send(
        stream.acceptor,
        Forward(
            owner,
            data.lane,
            data.epoch,
            data.first,
            data.counts,
            data.pair,
            data.generation,
            stream.number,
            data.first - 1 if after is None else after,
            data.octets,
        ),
    )


def rejections(sends: list[Send]) -> list[tuple[str, int, int, int, tuple[str, str]]]:
    """(owner, lane, first, count, error) of each; anything but Reject fails."""
    found = []
    for acceptor, frame in sends:
        assert isinstance(frame, Reject), frame
        error = (frame.condition, frame.type)
        found.append((acceptor, frame.lane, frame.first, frame.count, error))
    return found


# --- to a hosted domain ---


def test_to_where_the_hosted_domain_is_attached(talk):
    assert talk.says(B, Attached("montague.example", 4)) == []
    data = run(1, IN, count=3)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 4))]


@pytest.mark.clause("RTE-11")
def test_a_hosted_domain_that_is_away(talk):
    talk.at(LONG_AFTER_START)
    assert rejections(talk.says(A, run(1, IN, count=3))) == [(A, 1, 1, 3, TIMEOUT)]
    talk.says(B, Attached("montague.example", 4))
    assert talk.says(A, run(4, IN)) == [Send(A, Returned(1, 1, 4, 3))]
    data = run(4, IN, epoch=2)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 4), after=0)]


def test_what_a_peer_has_of_an_epoch_has_no_holes(talk):
    """A rejection and the reports of what follows travel on two links, and may cross.

    So nothing of an epoch is forwarded once a run of it was rejected, also not what waited.
    """
    talk.says(A, run(1, count=5))
    assert rejections(talk.says(A, run(6, count=2))) == [(A, 1, 6, 2, FULL)]
    sent = talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    assert sent == [Send(A, Returned(1, 1, 1, 0))]
    assert talk.says(A, run(8)) == []
    again = run(1, epoch=2, count=5)
    assert talk.says(A, again) == [forwarded(A, again, StreamId(A, 5))]
    later = run(8, epoch=2)
    assert talk.says(A, later) == [forwarded(A, later, StreamId(A, 5), after=5)]


def test_what_comes_again_is_forwarded_again_and_says_so(talk):
    """An egress stream has asked for it: go-back-N."""
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    for first in (1, 2, 3):
        talk.says(A, run(first))
    for first, after in ((2, 0), (3, 2), (4, 3)):
        data = run(first)
        assert talk.says(A, data) == [forwarded(A, data, StreamId(A, 5), after=after)]


def test_what_went_to_an_acceptor_that_died_is_returned_before_its_death_is_known(talk):
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    talk.says(A, run(1, count=3))
    talk.says(A, run(4))
    talk.says(A, run(2))
    sends = talk.here(A)
    assert sends[0] == Send(A, Returned(1, 1, 0, 4))
    assert [type(send.frame) for send in sends].index(Joined) > 0
    assert talk.says(A, run(5)) == []


def test_an_epoch_that_was_over_is_returned_too_when_its_acceptor_dies(talk):
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    talk.says(A, run(1))
    talk.says(B, Revoked(9, OUT))
    assert Send(A, Returned(1, 1, 0, 1)) in talk.here(A)


def test_between_hosted_domains_nothing_is_dialled(talk):
    talk.at(LONG_AFTER_START)
    assert rejections(talk.says(A, run(1, INSIDE))) == [(A, 1, 1, 1, TIMEOUT)]
    talk.says(A, Attached("verona.example", 7))
    data = run(2, INSIDE, lane=2)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(A, 7), after=0)]


@pytest.mark.clause("RTE-04")
def test_no_transit(talk):
    assert rejections(talk.says(A, run(1, TRANSIT))) == [(A, 1, 1, 1, NOT_FOUND)]


def test_an_epoch_ends_with_the_attachment(talk):
    talk.says(B, Attached("montague.example", 4))
    talk.says(A, run(1, IN))
    talk.says(B, Detached("montague.example", 4))
    talk.says(B, Attached("montague.example", 5))
    assert talk.says(A, run(2, IN)) == [], "the acceptor of stream 4 returns the epoch"
    again = run(1, IN, epoch=2, count=2)
    assert talk.says(A, again) == [forwarded(A, again, StreamId(B, 5))]


def test_an_older_attachments_end_comes_late(talk):
    talk.says(A, Attached("montague.example", 3))
    talk.says(A, run(1, IN))
    talk.says(B, Attached("montague.example", 4))
    talk.says(A, Detached("montague.example", 3))
    assert talk.says(A, run(2, IN)) == []
    data = run(2, IN, epoch=2)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 4), after=0)]


# --- to a remote domain ---


@pytest.mark.clause("BIDI-21")
def test_an_open_bidi_stream_before_a_new_connection(talk):
    assert talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback")) == []
    data = run(1)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 9))]


@pytest.mark.clause("DBK-05", "DBK-19")
def test_one_dial_and_the_queue_leaves_in_order(talk):
    first, second, third = run(1), run(1, lane=2), run(2)
    assert talk.says(A, first) == [Send(A, Dial(OUT))]
    assert talk.says(B, second) == []
    assert talk.says(A, third) == []
    assert talk.says(A, Dialling(OUT)) == []
    stream = StreamId(A, 5)
    assert talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback")) == [
        forwarded(A, first, stream),
        forwarded(B, second, stream),
        forwarded(A, third, stream),
    ]
    fourth = run(3)
    assert talk.says(A, fourth) == [forwarded(A, fourth, stream)]
    assert talk.routing.queue_bytes() == 0


@pytest.mark.clause("BIDI-21")
def test_the_peer_connects_while_we_dial(talk):
    data = run(1)
    talk.says(A, data)
    assert talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback")) == [
        forwarded(A, data, StreamId(B, 9))
    ]


@pytest.mark.clause("BIDI-22", "RTE-05")
def test_after_a_double_dial_traffic_stays_on_one_stream(talk):
    talk.says(A, run(1))
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    for data in (run(2), run(1, lane=2)):
        assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 9))]


@pytest.mark.clause("BIDI-22")
def test_the_idle_stream_of_two_may_close(talk):
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    talk.says(A, run(1))
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    talk.says(B, Revoked(9, OUT))
    data = run(2)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(A, 5))]


@pytest.mark.clause("BIDI-21", "BIDI-22")
@pytest.mark.parametrize(
    ("pair", "settled_after_s"), [(OUT, SETTLE_FIRST_S), (OUT_LOWER, SETTLE_SECOND_S)]
)
def test_a_double_dial_by_certificate_settles_on_the_peers_connection(talk, pair, settled_after_s):
    talk.says(A, Granted(5, pair, initiated=True, mechanism="external"))
    talk.says(A, run(1, pair))
    talk.says(B, Granted(9, pair, initiated=False, mechanism="external"))
    assert talk.routing.deadline() == settled_after_s
    assert talk.at(settled_after_s) == [Send(A, Retire(5, pair))]
    assert talk.says(A, run(2, pair)) == [], "its lane moves when the acceptor returns it"
    again = run(1, pair, epoch=2, count=2)
    assert talk.says(A, again) == [forwarded(A, again, StreamId(B, 9))]
    assert talk.says(A, Revoked(5, pair)) == []
    assert talk.routing.deadline() is None


@pytest.mark.clause("BIDI-22")
def test_a_double_dial_that_the_peer_has_settled_needs_nothing(talk):
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="external"))
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="external"))
    talk.says(B, Revoked(9, OUT))
    assert talk.at(SETTLE_FIRST_S) == []


def test_connections_proved_by_dialback_are_both_kept(talk):
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="external"))
    assert talk.routing.deadline() is None


@pytest.mark.clause("RTE-05", "BIDI-23")
def test_after_the_stream_the_epoch_is_over_and_the_next_goes_elsewhere(talk):
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    talk.says(A, run(1))
    assert talk.says(B, Revoked(9, OUT)) == []
    assert talk.says(A, run(2)) == [], "dropped: the owner will hear Returned"
    again = run(1, epoch=2, count=2)
    assert talk.says(A, again) == [Send(A, Dial(OUT))]
    assert talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback")) == [
        forwarded(A, again, StreamId(A, 5))
    ]
    assert talk.says(A, run(3)) == [], "of the epoch before"


def test_a_lane_moves_only_when_its_own_stream_goes(talk):
    """Two lanes on two streams: the second stream came into use when the first was revoked."""
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    talk.says(A, run(1))
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    talk.says(A, Revoked(5, OUT))
    moved, other = run(1, epoch=2), run(1, lane=2)
    for data in (moved, other):
        assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 9))]
    talk.says(A, Granted(6, OUT, initiated=True, mechanism="dialback"))
    data = run(2, epoch=2)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 9))]


def test_a_pair_moves_to_its_express_lane_in_order_and_back(talk):
    ordinary, express = StreamId(A, 3), StreamId(B, 8)
    talk.says(A, Granted(3, OUT, initiated=True, mechanism="external"))
    assert talk.says(A, run(1)) == [forwarded(A, run(1), ordinary)]
    sends = talk.says(B, Granted(8, OUT, initiated=True, mechanism="e2e"))
    assert sends == [Send(A, Release(3, OUT))]
    assert talk.says(A, run(2, egress=ordinary)) == []  # its acceptor returns the epoch
    moved = run(2, epoch=2)
    assert talk.says(A, moved) == [forwarded(A, moved, express, after=0)]
    assert talk.says(A, run(1, lane=2)) == [forwarded(A, run(1, lane=2), express)]
    talk.says(B, Revoked(8, OUT))
    back = run(3, epoch=3)
    assert talk.says(A, back) == [forwarded(A, back, ordinary, after=0)]


def test_streams_that_open_beside_an_express_lane_are_not_used(talk):
    express = StreamId(B, 8)
    talk.says(B, Granted(8, OUT, initiated=False, mechanism="e2e"))
    sends = talk.says(A, Granted(3, OUT, initiated=True, mechanism="dialback"))
    assert sends == [Send(A, Release(3, OUT))]
    assert talk.says(A, run(1)) == [forwarded(A, run(1), express)]


def test_a_stream_refused_for_one_pair_still_carries_the_other(talk):
    verona = DomainPair("verona.example", "capulet.example")
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    talk.says(A, Granted(5, verona, initiated=True, mechanism="dialback"))
    talk.says(A, run(1))
    talk.says(A, run(1, verona, lane=2))
    talk.says(A, Revoked(5, OUT))
    data = run(2, verona, lane=2)
    assert talk.says(A, run(2)) == []
    assert talk.says(A, data) == [forwarded(A, data, StreamId(A, 5))]


# --- when the backlog does not empty ---


@pytest.mark.clause("DBK-05")
def test_a_full_backlog_refuses_the_newest(talk):
    talk.says(A, run(1, count=5))
    assert rejections(talk.says(A, run(6, count=2))) == [(A, 1, 6, 2, FULL)]
    assert talk.says(A, run(8)) == []
    assert rejections(talk.says(A, run(9))) == [(A, 1, 9, 1, FULL)]


def test_octets_fill_a_backlog_too(talk):
    talk.says(A, run(1, octets=b"x" * 1999))
    assert rejections(talk.says(A, run(2, octets=b"xx"))) == [(A, 1, 2, 1, FULL)]


@pytest.mark.clause("RTE-10", "DBK-21")
def test_a_dial_that_failed_refuses_all_in_order(talk):
    talk.says(A, run(1, count=2))
    talk.says(B, run(1))
    talk.says(A, run(3))
    failed = talk.says(A, DialFailed(OUT, *NOT_FOUND, "no such domain"))
    assert rejections(failed) == [
        (A, 1, 1, 2, NOT_FOUND),
        (B, 1, 1, 1, NOT_FOUND),
        (A, 1, 3, 1, NOT_FOUND),
    ]
    assert failed[0].frame.text == "no such domain"
    assert talk.says(A, run(4)) == [Send(A, Dial(OUT))]


def test_another_dial_still_under_way_keeps_the_backlog(talk):
    talk.says(A, run(1))
    talk.says(B, Dialling(OUT))
    assert talk.says(A, DialFailed(OUT, *NOT_FOUND, "")) == []
    assert rejections(talk.says(B, DialFailed(OUT, *TIMEOUT, ""))) == [(A, 1, 1, 1, TIMEOUT)]


def test_a_dial_that_failed_beside_an_open_stream_is_of_no_account(talk):
    talk.says(A, run(1))
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    assert talk.says(A, DialFailed(OUT, *TIMEOUT, "")) == []
    data = run(2)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 9))]


@pytest.mark.clause("RTE-10")
def test_what_waits_too_long_is_refused(talk):
    assert talk.routing.deadline() is None
    talk.says(A, run(1))
    talk.now = 10
    talk.says(A, run(2))
    assert talk.routing.deadline() == 30
    assert talk.at(29.9) == []
    assert rejections(talk.at(30)) == [(A, 1, 1, 1, TIMEOUT)]
    assert talk.routing.deadline() == 40
    assert rejections(talk.at(40)) == [(A, 1, 2, 1, TIMEOUT)]
    assert talk.routing.deadline() is None
    assert talk.says(A, run(3)) == [], "the dial is still under way: no second one"
    assert talk.routing.deadline() == 70


def test_a_deadline_that_has_lost_its_run_passes_quietly(talk):
    talk.says(A, run(1))
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    assert talk.at(30) == []
    assert talk.routing.deadline() is None


# --- acceptors come and go ---


def test_the_dialling_acceptor_dies_and_another_dials(talk):
    data = run(1)
    assert talk.says(B, data) == [Send(A, Dial(OUT))]
    assert talk.here(B) == [Send(B, Joined(2)), Send(B, Dial(OUT))]
    assert talk.says(B, Granted(5, OUT, initiated=True, mechanism="dialback")) == [
        forwarded(B, data, StreamId(B, 5))
    ]


def test_nothing_is_sent_to_an_acceptor_that_is_gone(talk):
    talk.says(B, run(1))
    talk.here(A)
    assert talk.says(A, DialFailed(OUT, *NOT_FOUND, "")) == [], "the owner of the run is gone"
    assert talk.says(B, run(2)) == []


def test_the_only_acceptor_dies_and_its_successor_dials():
    talk = Talk((A,))
    talk.says(A, run(1))
    assert talk.here() == []
    assert talk.here(B) == [Send(B, Joined(3)), Send(B, Dial(OUT))]


@pytest.mark.clause("BIDI-23")
def test_streams_and_attachments_go_with_their_acceptor(talk):
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    talk.says(B, Attached("montague.example", 4))
    talk.says(A, run(1))
    talk.says(A, run(1, IN, lane=2))
    talk.here(A)
    assert talk.says(A, run(2)) == []
    assert talk.says(A, run(2, IN, lane=2)) == []
    assert talk.says(A, run(1, epoch=2)) == [Send(A, Dial(OUT))]
    waiting = run(1, IN, lane=2, epoch=2)
    assert talk.says(A, waiting) == []
    attached = talk.says(A, Attached("montague.example", 5))
    assert attached == [forwarded(A, waiting, StreamId(A, 5))]


def test_everybody_hears_of_every_version(talk):
    assert talk.here(A, B, C) == [Send(each, Joined(2)) for each in (A, B, C)]
    assert talk.routing.membership(1, (A,), {}, 0.0) == [], "an old one"
    data = run(1)
    talk.says(C, Granted(3, OUT, initiated=True, mechanism="dialback"))
    assert talk.says(C, data) == [forwarded(C, data, StreamId(C, 3))]


# --- the owner of a shard changes ---


def newcomer() -> Talk:
    """A worker that has just won all shards, generation 2, and heard of no stream yet."""
    talk = Talk(())
    talk.here(A, B, owned=GENERATION_2)
    return talk


def test_nothing_is_routed_before_all_have_announced():
    talk = newcomer()
    verona = DomainPair("verona.example", "capulet.example")
    early, late = run(1, generation=2), run(1, lane=2, generation=2)
    other = run(1, verona, lane=3, generation=2)
    assert talk.says(A, Announced(2)) == []
    for data in (early, late, other):
        assert talk.says(A, data) == []
    assert talk.routing.queue_bytes() == 30
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    sends = talk.says(B, Announced(2))
    assert [send for send in sends if isinstance(send.frame, Forward)] == [
        forwarded(A, early, StreamId(B, 9)),
        forwarded(A, late, StreamId(B, 9)),
    ]
    assert Send(A, Dial(other.pair)) in sends
    assert len(sends) == 3
    assert talk.routing.queue_bytes() == 10


def test_a_dead_acceptor_does_not_hold_up_the_beginning():
    talk = newcomer()
    talk.says(A, Announced(2))
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    data = run(1, generation=2)
    assert talk.says(A, data) == []
    sends = talk.here(A, owned=GENERATION_2)
    assert sends == [Send(A, Joined(3)), forwarded(A, data, StreamId(A, 5))]


def test_runs_of_another_lease_are_dropped(talk):
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    talk.here(A, B, owned={**ALL_SHARDS, shard_of(*OUT): 3})
    for acceptor in (A, B):
        talk.says(acceptor, Announced(2))
    assert talk.says(A, run(1, generation=1)) == []
    assert talk.says(A, run(1, generation=2)) == []
    assert talk.says(A, run(1, generation=3)) == [Send(A, Dial(OUT))], "what we knew is forgotten"


def test_a_shard_lost_takes_everything_along(talk):
    talk.says(A, run(1))
    talk.here(A, B, owned={})
    assert talk.routing.queue_bytes() == 0
    assert talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback")) == []
    assert talk.says(A, run(1)) == []
    assert talk.at(1000) == []
    assert talk.routing.rows() == ()


def test_a_new_owner_keeps_to_the_streams_of_epochs(talk):
    """Not to the lowest stream, and lanes that begin later follow (RFC 6120 §10.1)."""
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    known, new = run(7, egress=StreamId(B, 9)), run(1, lane=2)
    for data in (known, new):
        assert talk.says(A, data) == [forwarded(A, data, StreamId(B, 9), after=0)]


@pytest.mark.clause("RTE-05")
def test_two_lanes_keep_to_two_streams(talk):
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    for lane, stream in ((1, StreamId(B, 9)), (2, StreamId(A, 5))):
        data, after = run(7, lane=lane, egress=stream), run(8, lane=lane)
        assert talk.says(A, data) == [forwarded(A, data, stream, after=0)]
        assert talk.says(A, after) == [forwarded(A, after, stream)]


@pytest.mark.parametrize("pair", [OUT, IN])
def test_an_epoch_whose_stream_is_gone_is_dropped(talk, pair):
    talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback"))
    talk.says(A, Attached("montague.example", 6))
    assert talk.says(A, run(7, pair, egress=StreamId(B, 9))) == []
    assert talk.says(A, run(8, pair)) == [], "the rest of the epoch too"
    assert len(talk.says(A, run(7, pair, epoch=2))) == 1


def test_runs_that_are_sent_again_in_a_new_epoch_leave_the_backlog(talk):
    """An acceptor died, and the owner does not know that its runs only wait here."""
    talk.says(A, run(1, count=4))
    again, more = run(1, epoch=2, count=4), run(5, epoch=2)
    assert talk.says(A, again) == []
    assert talk.says(A, more) == []
    assert talk.says(A, Granted(5, OUT, initiated=True, mechanism="dialback")) == [
        forwarded(A, again, StreamId(A, 5)),
        forwarded(A, more, StreamId(A, 5)),
    ]


# --- dialback keys ---


def test_a_key_is_verified_by_the_domain_s_acceptor_when_we_have_no_connection(talk):
    talk.says(B, Granted(9, OUT, initiated=False, mechanism="dialback"))
    asked = Verify(3, IN, "s1", "k1")
    assert talk.says(B, asked) == [Send(A, VerifyKey(B, 3, IN, "s1", "k1"))]


@pytest.mark.clause("BIDI-18", "DBK-10")
def test_a_key_is_verified_on_a_connection_that_we_opened(talk):
    talk.says(A, Granted(4, OUT, initiated=False, mechanism="dialback"))
    talk.says(B, Granted(9, OUT, initiated=True, mechanism="dialback"))
    assert talk.says(A, Verify(3, IN, "s1", "k1")) == [Send(B, VerifyKey(A, 3, IN, "s1", "k1"))]


def test_a_key_waits_for_the_connection_that_is_being_opened(talk):
    talk.says(B, run(1))
    assert talk.says(B, Verify(3, IN, "s1", "k1")) == [Send(A, VerifyKey(B, 3, IN, "s1", "k1"))]


@pytest.mark.clause("BIDI-21")
def test_stanzas_go_where_a_key_is_verified_but_do_not_wait_for_that(talk):
    """The key may be asked about on a stream that never carries the pair."""
    asked = Verify(3, IN, "s1", "k1")
    assert talk.says(A, asked) == [Send(A, VerifyKey(A, 3, IN, "s1", "k1"))]
    assert talk.routing.rows() == ()
    data = run(1)
    assert talk.says(B, data) == [Send(A, Dial(OUT))]
    assert talk.says(A, Granted(4, OUT, initiated=True, mechanism="dialback")) == [
        forwarded(B, data, StreamId(A, 4))
    ]


def test_a_key_waits_for_announcements():
    talk = newcomer()
    talk.says(A, Announced(2))
    assert talk.says(A, Verify(3, IN, "s1", "k1")) == []
    talk.says(B, Granted(9, OUT, initiated=True, mechanism="dialback"))
    assert talk.says(B, Announced(2)) == [Send(B, VerifyKey(A, 3, IN, "s1", "k1"))]


# --- components ---


@pytest.mark.clause("CMP-02")
def test_who_may_attach(talk):
    assert talk.says(A, Attach(1, "montague.example", 4)) == [Send(A, AttachAnswer(1, True))]
    assert talk.says(B, Attach(1, "montague.example", 8)) == [Send(B, AttachAnswer(1, False))]
    talk.says(A, Attached("montague.example", 4))
    assert talk.says(B, Attach(2, "montague.example", 8)) == [Send(B, AttachAnswer(2, False))]
    talk.says(A, Detached("montague.example", 4))
    assert talk.says(B, Attach(3, "montague.example", 8)) == [Send(B, AttachAnswer(3, True))]
    assert talk.says(B, Attach(4, "capulet.example", 9)) == [Send(B, AttachAnswer(4, False))]


@pytest.mark.clause("CMP-02")
def test_who_may_attach_is_not_answered_before_all_have_announced():
    talk = newcomer()
    talk.says(A, Announced(2))
    assert talk.says(A, Attach(1, "montague.example", 4)) == []
    talk.says(B, Attached("montague.example", 8))
    assert talk.says(B, Announced(2)) == [Send(A, AttachAnswer(1, False))]


def test_questions_about_shards_of_others_are_left_to_them(talk):
    talk.here(A, B, owned={})
    assert talk.says(A, Attach(1, "montague.example", 4)) == []
    assert talk.says(A, Verify(3, IN, "s1", "k1")) == []
    talk.says(A, Attached("montague.example", 4))  # told to everybody, kept by everybody
    talk.here(A, B, owned=GENERATION_2)
    for acceptor in (A, B):
        talk.says(acceptor, Announced(3))
    data = run(1, IN, generation=2)
    assert talk.says(A, data) == [forwarded(A, data, StreamId(A, 4))]


def test_frames_that_are_not_for_workers_change_nothing(talk):
    assert talk.says(A, Progress(1, 1, 5, 1, 1, "tcp")) == []


def test_rows_name_streams_dials_and_backlog(talk):
    talk.says(A, run(1, count=2))
    assert talk.routing.rows() == (
        {
            "local": "montague.example",
            "remote": "capulet.example",
            "stream": None,
            "streams": [],
            "dialling": [A],
            "backlog_stanzas": 2,
            "backlog_bytes": 10,
        },
    )
