"""Retention and its books: every stanza that came in has one outcome or is still in flight."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.acceptor.ingress import Ingress
from router.acceptor.window import Window
from router.metrics import Counters
from router.wire.frames import Data, Ended, Progress, Reject, Returned
from router.wire.owner import Owner
from router.wire.shard import SHARDS, shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts, cut
from tests.support.acceptors import Sent, counted, live_leases

CAPULET, MONTAGUE = "capulet.example", "montague.example"
PAIR = DomainPair(CAPULET, MONTAGUE)
SHARD = shard_of(*PAIR)
OTHER = DomainPair("tybalt.example", MONTAGUE)
EGRESS = "a1.1"
WINDOW_BYTES = 1000
RETENTION_BYTES = 1_000_000

KINDS = {
    "message": Counts(1, 0, 0),
    "presence": Counts(0, 1, 0),
    "iq": Counts(0, 0, 1),
}
BOUNCEABLE = ("message", ""), ("presence", ""), ("iq", "get")
UNBOUNCEABLE = ("message", "error"), ("iq", "error"), ("iq", "result")


def stanza(kind: str = "message", type_of: str = "", pair: DomainPair = PAIR) -> bytes:
    given = f" type='{type_of}'" if type_of else ""
    return f"<{kind} from='r@{pair.sender}' to='j@{pair.target}' id='1'{given}/>".encode()


@dataclass
class Stream:
    """As much of a connection as the ingress sees."""

    number: int = 1
    leg: str = "s2s"
    direction: str = "in"
    kept_bytes: int = 0
    stanzas_in: int = 0
    is_paused: bool = False
    management: None = None
    history: list[str] = field(default_factory=list)

    def pause_reading(self) -> None:
        self.is_paused = True
        self.history.append("pause")

    def resume_reading(self) -> None:
        if self.is_paused:
            self.is_paused = False
            self.history.append("resume")


class Books:
    """An ingress, what it sends, and what it counts."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.due: list[Callable[[], None]] = []
        self.sent = Sent()
        self.leases = live_leases(7)
        owner = Owner("a0.1", self.leases)
        self.ingress = Ingress(
            owner,
            self.counters,
            Window(owner, WINDOW_BYTES, RETENTION_BYTES),
            to_shard=self.sent.to_shard,
            to_acceptor=self.sent.to_acceptor,
            call_later=lambda after_s, work: self.due.append(work),
        )

    def run(self, stream: Any, *stanzas: bytes, pair: DomainPair = PAIR) -> Data:
        counts = sum(
            (KINDS[each.kind] for octets in stanzas for each in cut(octets)), Counts(0, 0, 0)
        )
        self.ingress.run_received(stream, pair, counts, b"".join(stanzas))
        return self.sent.data()[-1]

    def done(self, data: Data, done: int | None = None) -> None:
        last = data.first + data.counts.total - 1 if done is None else done
        self.ingress.progress(EGRESS, Progress(data.lane, data.epoch, 9, last, last, "tcp"))

    def reject(self, data: Data, condition: str = "resource-constraint") -> None:
        self.ingress.rejected(
            "w0.1",
            Reject(data.lane, data.epoch, data.first, data.counts.total, condition, "wait", "full"),
        )

    def outcomes(self, outcome: str) -> float:
        return counted(self.counters, "causeway_stanza_outcomes_total", outcome)

    def came(self) -> float:
        return counted(self.counters, "causeway_stanzas_total", "in")

    def in_flight(self) -> float:
        self.ingress.gauges()
        return counted(self.counters, "causeway_stanzas_in_flight")

    def ended(self) -> list[int]:
        return [frame.lane for _, frame in self.sent.acceptors if isinstance(frame, Ended)]

    def check(self) -> None:
        """In = handed + bounced + unbounceable + in flight (design 3)."""
        resolved = sum(map(self.outcomes, ("handed", "bounced", "unbounceable")))
        assert self.came() == resolved + self.in_flight()


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def stream() -> Any:
    return Stream()


# --- in ---


def test_a_run_is_counted_kept_and_routed(books: Books, stream: Stream) -> None:
    octets = stanza() + stanza("iq", "get")
    data = books.run(stream, octets)
    assert books.sent.shards == [(SHARD, data)]
    assert (data.first, data.counts, data.pair) == (1, Counts(1, 0, 1), PAIR)
    assert (data.generation, data.octets) == (7, octets)
    assert counted(books.counters, "causeway_stanzas_total", "message", "s2s", "in") == 1
    assert counted(books.counters, "causeway_stanzas_total", "iq", "s2s", "in") == 1
    assert counted(books.counters, "causeway_bytes_total", "s2s", "in") == len(octets)
    assert (stream.stanzas_in, stream.kept_bytes) == (2, len(octets))
    assert books.ingress.pending() == books.in_flight() == 2
    assert counted(books.counters, "causeway_queue_bytes") == len(octets)


def test_a_pair_of_a_stream_is_one_lane(books: Books, stream: Stream) -> None:
    first, second = books.run(stream, stanza()), books.run(stream, stanza())
    other_pair = books.run(stream, stanza(pair=OTHER), pair=OTHER)
    other_stream = books.run(Stream(2), stanza())
    assert (first.lane, second.lane, second.first) == (second.lane, first.lane, 2)
    assert len({first.lane, other_pair.lane, other_stream.lane}) == 3
    assert {other_pair.first, other_stream.first} == {1}


def test_a_refused_stanza_is_in_and_bounced_at_once(books: Books, stream: Any) -> None:
    error = StanzaError.of("jid-malformed", "no such address")
    books.ingress.stanza_refused(stream, PAIR, stanza(), error)
    (back,) = books.sent.data()
    assert back.pair == PAIR.inverse()
    (bounce,) = cut(back.octets)
    assert bounce.attributes["type"] == "error"
    assert b"<jid-malformed" in bounce.octets
    assert (books.came(), books.outcomes("bounced"), stream.stanzas_in) == (1, 1, 1)
    books.check()


# --- what becomes of it ---


def test_handed_over_is_what_the_egress_reports_done(books: Books, stream: Any) -> None:
    data = books.run(stream, stanza(), stanza())
    books.done(data, 1)
    assert books.outcomes("handed") == 0
    books.done(data)
    books.done(data)
    assert (books.outcomes("handed"), books.in_flight(), stream.kept_bytes) == (2, 0, 0)
    books.check()


def test_a_rejected_run_comes_back_with_the_workers_reason(books: Books, stream: Any) -> None:
    data = books.run(stream, stanza(), stanza("iq", "get"))
    books.reject(data)
    back = books.sent.data()[-1]
    assert (back.pair, back.counts) == (PAIR.inverse(), Counts(1, 0, 1))
    for bounce in cut(back.octets):
        assert bounce.attributes["to"] == f"r@{CAPULET}"
        assert b"<error type='wait'><resource-constraint " in bounce.octets
        assert b"full</text>" in bounce.octets
    assert (books.outcomes("bounced"), books.in_flight()) == (2, 0)
    books.check()


@pytest.mark.parametrize("kind, type_of", UNBOUNCEABLE)
def test_what_may_not_be_answered_ends_unbounceable(
    books: Books, stream: Any, kind: str, type_of: str
) -> None:
    books.reject(books.run(stream, stanza(kind, type_of)))
    assert len(books.sent.data()) == 1
    assert books.outcomes("unbounceable") == 1
    assert books.outcomes("bounced") == 0
    books.check()


def test_bounces_of_bounces_end_uncounted(books: Books, stream: Any) -> None:
    books.reject(books.run(stream, stanza()))
    back = books.sent.data()[-1]
    assert (books.ingress.pending(), books.in_flight()) == (1, 0)
    before = books.counters.snapshot()
    books.reject(back, "remote-server-not-found")
    assert books.sent.data()[-1] is back
    assert books.ingress.pending() == 0
    assert books.counters.snapshot() == before


def test_bounces_of_one_pair_go_in_order_on_one_lane_while_there_are_any(
    books: Books, stream: Any
) -> None:
    for data in [books.run(stream, stanza()), books.run(stream, stanza())]:
        books.reject(data)
    first, second = books.sent.data()[-2:]
    assert (first.lane, first.first, second.first) == (second.lane, 1, 2)
    books.done(second)
    assert books.ended() == [first.lane]
    books.reject(books.run(stream, stanza()))
    assert books.sent.data()[-1].lane != first.lane


def test_what_comes_back_from_a_dead_stream_is_sent_again_or_doubted(
    books: Books, stream: Any
) -> None:
    sent, unsent = books.run(stream, stanza()), books.run(stream, stanza())
    books.ingress.returned(EGRESS, Returned(sent.lane, 1, 1, 1))
    bounce, again = books.sent.data()[-2:]
    assert b"<remote-server-timeout " in bounce.octets
    assert (again.first, again.epoch, again.egress) == (unsent.first, 2, None)
    assert (books.outcomes("bounced"), books.in_flight()) == (1, 1)
    books.check()


def test_the_death_of_an_egress_acceptor_is_a_return(books: Books, stream: Any) -> None:
    data = books.run(stream, stanza())
    books.ingress.progress(EGRESS, Progress(data.lane, 1, 9, took=1, done=0, level="tcp"))
    books.ingress.lost("a2.1", range(SHARDS), is_told=True)
    assert books.in_flight() == 1
    books.ingress.lost(EGRESS, range(SHARDS), is_told=True)
    assert (books.outcomes("bounced"), books.in_flight()) == (1, 0)
    books.check()


def test_a_new_owner_of_the_shard_is_sent_what_nobody_took(books: Books, stream: Any) -> None:
    data = books.run(stream, stanza())
    books.sent.shards.clear()
    books.ingress.replay({(SHARD + 1) % SHARDS})
    assert books.sent.shards == []
    books.ingress.replay({SHARD})
    assert books.sent.shards == [(SHARD, data)]


# --- the end of lanes ---


def test_a_lane_ends_at_its_egress_when_its_stream_and_its_stanzas_are_gone(
    books: Books, stream: Any
) -> None:
    open_lane = books.run(stream, stanza())
    done_lane = books.run(stream, stanza(pair=OTHER), pair=OTHER)
    books.done(done_lane)
    assert books.ended() == []
    books.ingress.stream_gone(stream)
    assert books.ended() == [done_lane.lane]
    books.done(open_lane)
    assert books.ended() == [done_lane.lane, open_lane.lane]
    assert {owner for owner, _ in books.sent.acceptors} == {EGRESS}


def test_the_next_stream_of_a_pair_goes_on_with_what_the_last_one_left(books: Books) -> None:
    """Or what it brings would overtake stanzas that wait for a new way."""
    before, after, third = Stream(1), Stream(2), Stream(3)
    first = books.run(before, stanza())
    kept = books.run(before, stanza())
    books.done(first, 1)
    books.ingress.stream_gone(before)  # type: ignore[arg-type]
    octets = stanza()
    books.run(after, octets)
    assert after.kept_bytes == len(kept.octets) + len(octets)
    assert books.run(third, stanza()).lane != first.lane
    books.done(first, 3)
    assert (after.kept_bytes, books.ended()) == (0, [])
    books.ingress.stream_gone(after)  # type: ignore[arg-type]
    assert books.ended() == [first.lane]
    assert books.run(Stream(4), stanza()).first == 1
    books.check()


def test_a_lane_nobody_took_anything_of_ends_in_silence(books: Books, stream: Any) -> None:
    books.reject(books.run(stream, stanza()))
    books.ingress.stream_gone(stream)
    assert books.ended() == []


def test_errors_for_who_reads_none_are_bounded(books: Books, stream: Any) -> None:
    """Nobody pays for their room, and a flood of what must bounce would fill it without end."""
    for _ in range(100):
        books.ingress.stanza_refused(stream, PAIR, stanza(), StanzaError.of("bad-request"))
    back = [each for each in books.sent.data() if each.pair == PAIR.inverse()]
    kept = sum(len(each.octets) for each in back)
    assert 4 * WINDOW_BYTES < kept <= 4 * WINDOW_BYTES + len(back[0].octets)
    assert books.outcomes("bounced") == len(back)
    assert books.outcomes("unbounceable") == 100 - len(back)
    books.check()
    books.done(back[-1])
    books.ingress.stanza_refused(stream, PAIR, stanza(), StanzaError.of("bad-request"))
    assert books.outcomes("bounced") == len(back) + 1


# --- pausing ---


@pytest.mark.clause("ERR-06")
def test_reading_stops_above_the_window_and_resumes_at_half_of_it(
    books: Books, stream: Any
) -> None:
    size = len(stanza())
    runs = []
    while not stream.is_paused:
        runs.append(books.run(stream, stanza()))
        assert len(runs) <= WINDOW_BYTES // size + 1
    assert len(runs) * size > WINDOW_BYTES >= (len(runs) - 1) * size
    while stream.is_paused:
        assert stream.kept_bytes > WINDOW_BYTES // 2
        books.done(runs.pop(0))
    assert stream.kept_bytes <= WINDOW_BYTES // 2
    assert stream.history == ["pause", "resume"]


def test_a_bounce_makes_room_too_and_holds_none_of_the_senders(books: Books, stream: Any) -> None:
    data = books.run(stream, *[stanza()] * 40)
    assert stream.is_paused
    books.reject(data)
    assert (stream.is_paused, stream.kept_bytes) == (False, 0)
    assert books.ingress.pending() == 40


# --- out ---


def test_what_is_written_is_counted_and_reuse_is_a_peers_connection(books: Books) -> None:
    counts = Counts(2, 1, 0)
    books.ingress.count_sent(Stream(direction="in"), counts, 300)  # type: ignore[arg-type]
    books.ingress.count_sent(Stream(direction="out"), counts, 300)  # type: ignore[arg-type]
    component = Stream(direction="in", leg="component")
    books.ingress.count_sent(component, counts, 300)  # type: ignore[arg-type]
    assert counted(books.counters, "causeway_bidi_reuse_total") == 3
    assert counted(books.counters, "causeway_stanzas_total", "message", "s2s", "out") == 4
    assert counted(books.counters, "causeway_stanzas_total", "presence", "component", "out") == 1
    assert counted(books.counters, "causeway_bytes_total", "component", "out") == 300


# --- conservation ---

A_STANZA = st.sampled_from([*BOUNCEABLE, *UNBOUNCEABLE])
NUMBER = st.integers(0, 6)
STEP = st.one_of(
    st.tuples(st.just("run"), NUMBER, st.lists(A_STANZA, min_size=1, max_size=3)),
    st.tuples(st.just("refuse"), NUMBER, A_STANZA),
    st.tuples(
        st.sampled_from(["progress", "reject", "returned"]), NUMBER, st.tuples(NUMBER, NUMBER)
    ),
    st.tuples(st.sampled_from(["acceptor gone", "replay", "stream gone"]), NUMBER, st.none()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=30))
def test_whatever_is_reported_in_whatever_order_the_books_balance(steps: list[Any]) -> None:
    books = Books()
    streams = [Stream(number) for number in range(3)]
    gone: set[int] = set()
    for what, number, more in steps:
        stream: Any = streams[number % len(streams)]
        pair = (PAIR, OTHER)[number % 2]
        if what in ("run", "refuse", "stream gone") and stream.number in gone:
            continue
        if what == "run":
            books.run(stream, *(stanza(*each, pair) for each in more), pair=pair)
        elif what == "refuse":
            books.ingress.stanza_refused(
                stream, pair, stanza(*more, pair), StanzaError.of("bad-request")
            )
        elif what == "stream gone":
            gone.add(stream.number)
            books.ingress.stream_gone(stream)
        elif what == "acceptor gone":
            books.ingress.lost(EGRESS, range(SHARDS), is_told=number % 2 == 0)
        elif what == "replay":
            books.ingress.replay(range(SHARDS))
        elif books.sent.data():
            report(books, what, number, *more)
        books.check()
        for each in streams:
            if each.number not in gone:
                assert each.kept_bytes >= 0
                assert each.is_paused or each.kept_bytes <= WINDOW_BYTES

    settle(books)
    assert (books.in_flight(), books.ingress.pending()) == (0, 0)
    books.check()
    for each in streams:
        if each.number not in gone:
            assert (each.kept_bytes, each.is_paused) == (0, False)
            books.ingress.stream_gone(each)  # type: ignore[arg-type]
    assert len(books.ended()) == len(set(books.ended()))


def report(books: Books, what: str, number: int, low: int, high: int) -> None:
    """Some process reports on some lane, in order or not."""
    data = books.sent.data()[number % len(books.sent.data())]
    last = data.first + data.counts.total - 1
    if what == "progress":
        took = last + low
        frame = Progress(data.lane, data.epoch, 9, took, min(took, high), "tcp")
        books.ingress.progress(EGRESS, frame)
    elif what == "reject":
        books.reject(data)
    else:
        books.ingress.returned(EGRESS, Returned(data.lane, data.epoch, low, high))


def settle(books: Books) -> None:
    """Everything arrives in the end, bounces included."""
    seen = 0
    while seen < len(books.sent.data()):
        books.done(books.sent.data()[seen], done=1_000_000)
        seen += 1
