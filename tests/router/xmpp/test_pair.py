"""A domain pair and its inverse."""

from router.xmpp.pair import DomainPair

PAIR = DomainPair("montague.example", "capulet.example")


def test_the_inverse_is_the_other_direction():
    assert PAIR.inverse() == DomainPair("capulet.example", "montague.example")
    assert PAIR.inverse().inverse() == PAIR
    assert PAIR.inverse() != PAIR


def test_it_reads_as_a_direction():
    assert str(PAIR) == "montague.example to capulet.example"
