"""Numbered stanzas, and what is read back of them however the reads cut them."""

import pytest

from bench.faults.traffic import STANZA_BYTES, Bounce, Parser, flow, flows
from router.xmpp.pair import DomainPair

PAIR = DomainPair("capulet.lit", "montague.lit")
BOUNCE = (
    b"<message from='a@montague.lit' to='b@capulet.lit' id='n%09d' type='error'><error type='wait'>"
    b"<remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text>no stream</text>"
    b"</error></message>"
)


def test_a_stanza_has_its_number_and_its_length() -> None:
    stanza = flow(PAIR, 7).stanza(12)
    assert len(stanza) == STANZA_BYTES
    assert b" id='n000000012'" in stanza
    assert b"from='romeo7@capulet.lit/orchard' to='juliet7@montague.lit/balcony'" in stanza


def test_jid_pairs_are_spread_over_the_domain_pairs() -> None:
    every = flows([PAIR, PAIR.inverse()], 5)
    assert [each.pair for each in every].count(PAIR) == 3
    assert len({each.head for each in every}) == 5


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_reads_of_any_size_give_the_same(size: int) -> None:
    octets = flow(PAIR, 1).stanza(3) + BOUNCE % 4 + flow(PAIR, 1).stanza(5)
    parser = Parser()
    numbers: list[int] = []
    bounces: list[Bounce] = []
    for at in range(0, len(octets), size):
        found = parser.feed(octets[at : at + size])
        numbers += found[0]
        bounces += found[1]
    assert numbers == [3, 5]
    assert bounces == [Bounce(4, "remote-server-timeout: no stream")]
    assert not parser.strange


def test_a_stanza_that_is_cut_off_has_not_arrived() -> None:
    assert Parser().feed(flow(PAIR, 1).stanza(3)[:-1]) == ([], [])


def test_what_has_no_number_of_ours_is_strange() -> None:
    parser = Parser()
    forged = b"<message from='a@b'><body>forged</body></message>"
    assert parser.feed(forged + flow(PAIR, 1).stanza(3)) == ([3], [])
    assert parser.strange == 1


def test_the_end_of_a_stream_and_its_reason_are_seen() -> None:
    parser = Parser()
    parser.feed(flow(PAIR, 1).stanza(3) + b"<stream:error><host-gone xmlns='x'/></stream:error>")
    assert not parser.is_over
    parser.feed(b"</stream:stream>")
    assert parser.is_over
    assert parser.stream_error == "host-gone"
