"""Routing to domains whose server is behind the router: as to remote ones, but with patience."""

import pytest

from router.wire.frames import Announced, Dial, DialFailed, Granted, StreamId, Verify, VerifyKey
from router.xmpp.pair import DomainPair
from router.xmpp.perspective import Domains
from tests.workers.test_routing import (
    LIMITS,
    NOT_FOUND,
    TIMEOUT,
    A,
    Talk,
    forwarded,
    rejections,
    run,
)
from workers.outbox import Send
from workers.pairs import REDIAL_S
from workers.routing import Routing

SERVERS = Domains(frozenset({"verona.example", "padua.example"}))
IN = DomainPair("capulet.example", "verona.example")
ACROSS = DomainPair("verona.example", "padua.example")
FROM_COMPONENT = DomainPair("montague.example", "verona.example")


class Gateway(Talk):
    def __init__(self) -> None:
        super().__init__(())
        self.routing = Routing(frozenset({"montague.example"}), LIMITS, SERVERS)
        self.here(A)
        self.says(A, Announced(self.version))


@pytest.fixture
def talk() -> Gateway:
    return Gateway()


@pytest.mark.parametrize("pair", [IN, IN.inverse(), ACROSS, FROM_COMPONENT])
def test_a_stream_is_opened_and_then_it_leaves_there(talk: Gateway, pair: DomainPair) -> None:
    data = run(1, pair)
    assert talk.says(A, data) == [Send(A, Dial(pair))]
    assert talk.says(A, Granted(3, pair, True, "dialback")) == [forwarded(A, data, StreamId(A, 3))]


def test_the_two_legs_of_a_pair_do_not_mix(talk: Gateway) -> None:
    """What is for the server leaves on its stream, what is for the remote one on the other."""
    talk.says(A, Granted(3, IN.inverse(), True, "external"))
    inward = run(1, IN)
    assert talk.says(A, inward) == [Send(A, Dial(IN))]
    outward = run(1, IN.inverse(), lane=2)
    assert talk.says(A, outward) == [forwarded(A, outward, StreamId(A, 3))]


def test_what_waits_for_a_server_that_restarts_goes_when_it_is_back(talk: Gateway) -> None:
    first, second = run(1, IN), run(2, IN)
    talk.says(A, first)
    assert talk.says(A, DialFailed(IN, *TIMEOUT, "refused")) == []
    assert talk.says(A, second) == []  # the next dial is due soon anyway
    assert talk.at(REDIAL_S / 2) == []
    assert talk.at(REDIAL_S) == [Send(A, Dial(IN))]
    assert talk.says(A, DialFailed(IN, *TIMEOUT, "refused")) == []
    assert talk.at(2 * REDIAL_S) == [Send(A, Dial(IN))]
    stream = StreamId(A, 3)
    sends = talk.says(A, Granted(3, IN, False, "external"))
    assert sends == [forwarded(A, first, stream), forwarded(A, second, stream)]
    assert talk.at(3 * REDIAL_S) == []


def test_it_waits_no_longer_than_anything_else(talk: Gateway) -> None:
    talk.says(A, run(1, IN))
    for second in range(int(LIMITS.backlog_s)):
        talk.says(A, DialFailed(IN, *TIMEOUT, "refused"))
        assert talk.at(second * REDIAL_S) in ([], [Send(A, Dial(IN))])
    talk.says(A, DialFailed(IN, *TIMEOUT, "refused"))
    assert rejections(talk.at(LIMITS.backlog_s)) == [(A, 1, 1, 1, TIMEOUT)]
    assert talk.at(2 * LIMITS.backlog_s) == []


def test_a_server_that_does_not_know_the_domain_is_not_asked_again(talk: Gateway) -> None:
    talk.says(A, run(1, IN))
    assert rejections(talk.says(A, DialFailed(IN, *NOT_FOUND, "host-unknown"))) == [
        (A, 1, 1, 1, NOT_FOUND)
    ]
    assert talk.at(REDIAL_S) == []


def test_nobody_is_waited_for_when_the_node_ends(talk: Gateway) -> None:
    talk.says(A, run(1, IN))
    talk.routing.drain(0.0)
    assert rejections(talk.says(A, DialFailed(IN, *TIMEOUT, "refused"))) == [(A, 1, 1, 1, TIMEOUT)]


def test_a_remote_server_is_not_waited_for(talk: Gateway) -> None:
    pair = IN.inverse()
    talk.says(A, run(1, pair))
    assert rejections(talk.says(A, DialFailed(pair, *TIMEOUT, "refused"))) == [
        (A, 1, 1, 1, TIMEOUT)
    ]


@pytest.mark.parametrize("pair", [IN, IN.inverse(), ACROSS])
def test_a_key_is_asked_about_at_its_own_domain(talk: Gateway, pair: DomainPair) -> None:
    """Where our stream to the sender is: inside for a server behind us, else outside."""
    talk.says(A, Granted(3, pair.inverse(), True, "dialback"))
    ask = Verify(7, pair, "id", "key")
    assert talk.says(A, ask) == [Send(A, VerifyKey(A, 7, pair, "id", "key"))]


def test_what_is_behind_us_no_more_is_not_ours(talk: Gateway) -> None:
    talk.says(A, run(1, IN))
    sends = talk.routing.reload(frozenset({"montague.example"}), LIMITS, 0.0, Domains())
    assert rejections(sends) == [(A, 1, 1, 1, NOT_FOUND)]
    assert rejections(talk.says(A, run(2, IN, epoch=2))) == [(A, 1, 2, 1, NOT_FOUND)]
