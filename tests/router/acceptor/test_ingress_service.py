"""Stanzas for the router itself: answered where they come in, in the books, at the asker's cost."""

from typing import Any

import pytest

from router.acceptor.ingress import Ingress
from router.acceptor.window import Window
from router.wire.frames import Returned
from router.wire.owner import Owner
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts, cut
from tests.router.acceptor.test_ingress import PAIR, WINDOW_BYTES, Books, Stream
from tests.support.acceptors import live_leases

RELAY = "relay.montague.example"
ASKING = DomainPair("capulet.example", RELAY)
BACK = ASKING.inverse()


def stanza(kind: str = "iq", type_of: str = "get", payload: str = "") -> bytes:
    payload = payload or "<ping xmlns='urn:xmpp:ping'/>"
    given = f" type='{type_of}'" if type_of else ""
    addresses = f"from='r@{ASKING.sender}' to='{RELAY}' id='1'"
    return f"<{kind} {addresses}{given}>{payload}</{kind}>".encode()


class ServiceBooks(Books):
    """The books of an acceptor whose router has an address of its own."""

    def __init__(self) -> None:
        super().__init__()
        owner = Owner("a0.1", live_leases(7))
        self.ingress = Ingress(
            owner,
            self.counters,
            Window(owner, WINDOW_BYTES, 1_000_000),
            to_shard=self.sent.to_shard,
            to_acceptor=self.sent.to_acceptor,
            call_later=lambda after_s, work: self.due.append(work),
            service=RELAY,
        )

    def asked(self, stream: Any, *stanzas: bytes) -> None:
        counts = sum(
            (Counts.one(each.kind) for octets in stanzas for each in cut(octets)), Counts(0, 0, 0)
        )
        self.ingress.run_received(stream, ASKING, counts, b"".join(stanzas))

    def check(self) -> None:
        resolved = sum(map(self.outcomes, ("handed", "bounced", "unbounceable", "answered")))
        assert self.came() == resolved + self.in_flight()


@pytest.fixture
def books() -> ServiceBooks:
    return ServiceBooks()


@pytest.fixture
def stream() -> Any:
    return Stream()


@pytest.mark.clause("KAL-01", "RTE-08")
def test_a_run_for_the_router_is_answered_and_not_routed(books: ServiceBooks, stream: Any) -> None:
    books.asked(stream, stanza(), stanza("presence", ""), stanza("message", ""), stanza())
    (data,) = books.sent.data()
    assert (data.pair, data.counts) == (BACK, Counts(1, 0, 2))
    assert [each.attributes["type"] for each in cut(data.octets)] == ["result", "error", "result"]
    assert books.sent.shards[0][0] == shard_of(*BACK)
    assert (books.came(), stream.stanzas_in) == (4, 4)
    assert (books.outcomes("answered"), books.outcomes("bounced")) == (3, 1)
    assert (books.in_flight(), books.ingress.pending()) == (0, 3)
    books.check()


def test_what_is_consumed_sends_nothing(books: ServiceBooks, stream: Any) -> None:
    books.asked(stream, stanza("presence", ""), stanza("iq", "result"), stanza("message", "error"))
    assert books.sent.data() == []
    assert (books.outcomes("answered"), books.ingress.pending(), stream.kept_bytes) == (3, 0, 0)
    books.check()


def test_other_domains_are_routed_as_ever(books: ServiceBooks, stream: Any) -> None:
    data = books.run(stream, stanza())
    assert (data.pair, books.outcomes("answered")) == (PAIR, 0)


def test_without_an_address_nothing_is_the_routers_own(stream: Any) -> None:
    books = Books()
    books.ingress.run_received(stream, ASKING, Counts(0, 0, 1), stanza())
    assert books.sent.data()[-1].pair == ASKING
    assert books.outcomes("answered") == 0


def test_an_answer_that_cannot_be_sent_ends_uncounted(books: ServiceBooks, stream: Any) -> None:
    books.asked(stream, stanza())
    before = books.counters.snapshot()
    books.reject(books.sent.data()[-1])
    assert len(books.sent.data()) == 1
    assert (books.ingress.pending(), stream.kept_bytes) == (0, 0)
    assert books.counters.snapshot() == before


def test_who_does_not_read_the_answers_is_not_read(books: ServiceBooks, stream: Any) -> None:
    while not stream.is_paused:
        books.asked(stream, stanza())
        assert len(books.sent.data()) < WINDOW_BYTES
    assert stream.kept_bytes == sum(len(each.octets) for each in books.sent.data()) > WINDOW_BYTES
    books.done(books.sent.data()[-1])
    assert (stream.is_paused, stream.kept_bytes) == (False, 0)
    assert books.ended() == [books.sent.data()[0].lane]


def test_each_stream_pays_for_its_own_answers(books: ServiceBooks) -> None:
    one, other = Stream(1), Stream(2)
    for each in (one, other):
        books.asked(each, stanza())
    first, second = books.sent.data()
    assert first.lane != second.lane
    books.done(first)
    assert (one.kept_bytes, other.kept_bytes) == (0, len(second.octets))
    books.ingress.stream_gone(other)  # type: ignore[arg-type]
    books.done(second)
    assert books.ingress.pending() == 0


def test_answers_go_on_when_their_stream_ends(books: ServiceBooks, stream: Any) -> None:
    """On another one; what the peer may have got is not sent twice."""
    books.asked(stream, stanza())
    books.asked(stream, stanza())
    first, second = books.sent.data()
    books.ingress.returned("a1.1", Returned(first.lane, 1, first.first, first.first))
    again = books.sent.data()[-1]
    assert (again.first, again.epoch) == (second.first, 2)
    books.done(again)
    assert (books.ingress.pending(), stream.kept_bytes) == (0, 0)
    books.asked(stream, stanza())
    assert books.sent.data()[-1].lane != first.lane
    books.check()
