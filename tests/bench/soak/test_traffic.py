"""What is sent, and how it is recognised where it arrives."""

import random

import pytest

from bench.soak.traffic import Flow, Parser, answer, body_bytes, stanza
from router.xmpp.errors import StanzaError
from router.xmpp.stanza import bounce, cut

FLOW = Flow(3, "capulet.lit", "montague.lit")


@pytest.mark.parametrize("size", [1, 7, 383, 100_000])
def test_stanzas_are_recognised_however_they_are_cut(size: int) -> None:
    source = random.Random(4)
    octets = b"".join(stanza(FLOW, number, source) for number in range(50)) + answer(FLOW, 50)
    parser = Parser()
    found = [
        each for at in range(0, len(octets), size) for each in parser.feed(octets[at : at + size])
    ]
    assert [(each.flow, each.number) for each in found] == [(3, number) for number in range(51)]
    assert {each.type for each in found} == {b"chat", b"", b"get", b"result"}
    assert not parser.strange


def test_a_bounce_is_recognised_as_an_error_of_its_stanza() -> None:
    (sent,) = cut(stanza(FLOW, 8, random.Random(1)))
    (found,) = Parser().feed(bounce(sent, StanzaError.of("remote-server-not-found")))
    assert (found.flow, found.number, found.type) == (3, 8, b"error")


def test_the_end_of_a_stream_and_strangers_are_noticed() -> None:
    parser = Parser()
    assert not list(parser.feed(b"<message from='x'><body>y</body></message></stream:stream>"))
    assert parser.strange == 1
    assert parser.is_over


def test_most_messages_are_short_and_some_are_not() -> None:
    source = random.Random(2)
    sizes = sorted(body_bytes(source) for _ in range(2000))
    assert sizes[1000] < 200
    assert 6000 < sizes[-1] <= 40_000
