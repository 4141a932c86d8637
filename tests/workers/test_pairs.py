"""The choice among the streams of a pair, and what is forgotten with acceptors and shards."""

import itertools

import pytest

from router.config import Limits
from router.wire.frames import Data, StreamId
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from workers.backlog import Room
from workers.pairs import Grant, Pairs

PAIR = DomainPair("montague.example", "capulet.example")
OTHER = DomainPair("verona.example", "capulet.example")
A3, A10, B1 = StreamId("a0.1", 3), StreamId("a0.1", 10), StreamId("a1.1", 1)


@pytest.fixture
def pairs() -> Pairs:
    return Pairs(Limits(), Room())


@pytest.mark.clause("BIDI-22")
@pytest.mark.parametrize("order", list(itertools.permutations([A3, A10, B1])))
def test_the_choice_does_not_depend_on_the_order_of_grants(pairs, order):
    for stream in order:
        pairs.get(PAIR).granted[stream] = OURS
    assert pairs.get(PAIR).stream() == A3


@pytest.mark.clause("BIDI-22", "RTE-05")
def test_the_stream_in_use_stays_in_use_until_revoked(pairs):
    routes = pairs.get(PAIR)
    routes.granted[B1] = OURS
    assert routes.stream() == B1
    routes.granted[A3] = THEIRS
    assert routes.stream() == B1
    routes.revoke(A3)
    assert routes.stream() == B1
    routes.granted[A10] = THEIRS
    routes.revoke(B1)
    assert routes.stream() == A10
    routes.revoke(A10)
    assert routes.stream() is None


OURS = Grant(initiated=True, mechanism="external")
THEIRS = Grant(initiated=False, mechanism="external")


EXPRESS = Grant(initiated=True, mechanism="e2e")


def test_an_express_lane_before_all_streams(pairs):
    routes = pairs.get(PAIR)
    routes.granted[A3] = OURS
    assert routes.stream() == A3
    routes.granted[B1] = EXPRESS
    assert routes.passed_over() == {A3}
    assert routes.stream() == B1
    assert routes.initiated() == A3  # keys go by servers' own streams
    routes.revoke(B1)
    assert (routes.passed_over(), routes.stream()) == (frozenset(), A3)


def test_only_connections_we_opened_count_as_initiated(pairs):
    routes = pairs.get(PAIR)
    routes.granted[A3] = THEIRS
    assert routes.initiated() is None
    routes.granted.update({B1: OURS, A10: OURS})
    assert routes.initiated() == A10


def test_an_acceptor_takes_its_streams_and_dials_along(pairs):
    routes = pairs.get(PAIR)
    routes.granted.update({A3: OURS, B1: OURS})
    routes.dialling = {"a0.1", "a2.1"}
    assert routes.stream() == A3
    pairs.get(OTHER).granted[A10] = OURS
    pairs.acceptor_gone("a0.1")
    assert (routes.stream(), routes.dialling) == (B1, {"a2.1"})
    assert pairs.find(OTHER) is None


def test_lost_shards_give_their_room_back():
    room = Room()
    pairs = Pairs(Limits(), room)
    data = Data(1, 1, 1, Counts(1, 0, 0), PAIR, 1, None, b"<message/>")
    pairs.get(PAIR).backlog.append("a0.1", data, now=0)
    pairs.get(OTHER).granted[A3] = OURS
    assert room.used_bytes == 10
    pairs.shards_lost({shard_of(*PAIR)})
    assert (pairs.find(PAIR), room.used_bytes) == (None, 0)
    assert pairs.find(OTHER) is not None


def test_the_first_to_expire_of_all_pairs(pairs):
    assert pairs.expires_s() is None
    for pair, now in ((PAIR, 7), (OTHER, 5)):
        data = Data(1, 1, 1, Counts(1, 0, 0), pair, 1, None, b"")
        pairs.get(pair).backlog.append("a0.1", data, now)
    assert pairs.expires_s() == 35


def test_rows_show_what_a_pair_has(pairs):
    routes = pairs.get(PAIR)
    routes.granted.update({A10: OURS, A3: THEIRS})
    routes.dialling.add("a2.1")
    assert pairs.rows() == (
        {
            "local": "montague.example",
            "remote": "capulet.example",
            "stream": None,
            "streams": ["a0.1/3", "a0.1/10"],
            "dialling": ["a2.1"],
            "backlog_stanzas": 0,
            "backlog_bytes": 0,
        },
    )
    routes.stream()
    assert pairs.rows()[0]["stream"] == "a0.1/3"
