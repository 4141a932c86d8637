"""What inner streams report goes to lanes and shards, and back to their sessions."""

from typing import Any

import pytest

from bench.authority import Authority
from router.acceptor.connection import Connection
from router.wire.frames import Granted, Revoked
from router.xmpp.e2e import InitiatorStream
from router.xmpp.e2e_ends import Ends
from router.xmpp.errors import StanzaError
from router.xmpp.events import Ignored, PairAuthorised, StanzaRefused, StreamReady
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from tests.support.end_to_end import RELAYS, Side, config_of
from tests.support.nodes import CAPULET, MONTAGUE

OUT = DomainPair(MONTAGUE, CAPULET)


@pytest.fixture
async def side(authority: Authority) -> Side:
    authority.issue(RELAYS[MONTAGUE])
    return Side(MONTAGUE, config_of(MONTAGUE, authority))


def inner(side: Side) -> Connection:
    ends = Ends(side.address, RELAYS[CAPULET], frozenset({OUT}))
    policy: Policy = side.openings.policy_of("e2e")
    core = InitiatorStream(policy, lambda: "id", ends, 0.0)
    return side.openings.inner(side.hub, core, "out", side.address, RELAYS[CAPULET])


async def test_workers_hear_of_what_may_be_sent_until_the_stream_closes(side: Side) -> None:
    stream = inner(side)
    side.hub.happened(stream, StreamReady(RELAYS[CAPULET], True, True))
    side.hub.happened(stream, PairAuthorised(OUT.inverse(), False, "e2e"))
    assert side.frames == []
    side.hub.happened(stream, PairAuthorised(OUT, True, "e2e"))
    assert side.frames == [Granted(stream.number, OUT, True, "e2e")]
    stream.core.grants.send[OUT] = "e2e"
    side.hub.closing(stream)
    assert side.frames[1:] == [Revoked(stream.number, OUT)]


async def test_a_stanza_that_is_refused_is_answered_by_the_ingress(side: Side) -> None:
    stream = inner(side)
    error = StanzaError.of("service-unavailable")
    side.hub.happened(stream, StanzaRefused(OUT.inverse(), b"<iq/>", error))
    side.hub.happened(stream, Ignored("an element"))
    assert (side.refused, side.runs) == ([b"<iq/>"], [])


async def test_a_stream_that_is_lost_is_forgotten_by_everybody(side: Side) -> None:
    told: list[Any] = []
    side.hub.ended = told.append
    stream = inner(side)
    side.hub.lost(stream)
    assert side.streams() == []
    assert told == [stream]
    assert set(side.lost_streams) == {stream}
