"""Elements of stream management between stanzas, wherever the reads cut them."""

import pytest

from bench.faults.managed import ManagedParser, Nonza
from bench.faults.traffic import flow
from router.xmpp.pair import DomainPair

SM = b"xmlns='urn:xmpp:sm:3'"


@pytest.mark.parametrize("size", [1, 10, 333, 5000])
def test_each_is_found_once_with_what_came_before_it(size: int) -> None:
    one = flow(DomainPair("capulet.lit", "montague.lit"), 1)
    octets = b"<enable %b/>%b<r %b/>%b%b<a h='17' %b/>" % (
        SM,
        one.stanza(0),
        SM,
        one.stanza(1),
        one.stanza(2),
        SM,
    )
    parser, numbers, nonzas = ManagedParser(), list[int](), list[Nonza]()
    for at in range(0, len(octets), size):
        numbers += parser.feed(octets[at : at + size])[0]
        nonzas += parser.take_nonzas()
    assert numbers == [0, 1, 2]
    assert nonzas == [Nonza("enable", 0, 0), Nonza("r", 0, 1), Nonza("a", 17, 3)]
    assert (parser.seen, parser.strange) == (3, 0)
