"""Between whom an end-to-end stream runs: addresses compared, and what may be agreed at all."""

import pytest

from router.xmpp.e2e_ends import Ends
from router.xmpp.errors import MisuseError
from router.xmpp.jid import JidError
from router.xmpp.pair import DomainPair

LOCAL, JULIET = "relay.example", "juliet@capulet.example/balcony"


@pytest.mark.clause("E2E-04", "RTE-13")
@pytest.mark.parametrize(
    ("address", "is_peer"),
    [
        (JULIET, True),
        ("juliet@CAPULET.example./balcony", True),
        ("juliet@capulet.example", False),
        ("juliet@capulet.example/Balcony", False),
        ("Juliet@capulet.example/balcony", False),
        ("capulet.example/balcony", False),
        ("capulet.example", False),
        ("juliet@capulet.example.evil.example/balcony", False),
        ("", False),
        ("@", False),
    ],
)
def test_the_peer_is_one_address(address: str, is_peer: bool) -> None:
    assert Ends(LOCAL, JULIET).is_peer(address) == is_peer


@pytest.mark.clause("JXS-07")
def test_a_header_may_leave_the_resource_out() -> None:
    ends = Ends("relay.example/x", JULIET)
    assert ends.may_name_peer(JULIET)
    assert ends.may_name_peer("juliet@capulet.example")
    assert not ends.may_name_peer("juliet@capulet.example/chamber")
    assert not ends.may_name_peer("capulet.example")
    assert ends.may_name_local("relay.example")
    assert ends.may_name_local("RELAY.example/x")
    assert not ends.may_name_local("relay.example/y")


def test_addresses_are_kept_with_normal_domains() -> None:
    ends = Ends("Relay.Example", "Juliet@bücher.EXAMPLE/Balcony")
    assert (ends.local, ends.local_domain) == ("relay.example", "relay.example")
    assert (ends.peer, ends.peer_domain) == ("Juliet@bücher.example/Balcony", "bücher.example")
    with pytest.raises(JidError):
        Ends(LOCAL, "juliet@")


@pytest.mark.clause("E2E-04")
@pytest.mark.parametrize("peer", [JULIET, "juliet@capulet.example", "capulet.example/x"])
def test_only_a_bare_domain_carries_pairs(peer: str) -> None:
    pairs = frozenset({DomainPair("montague.example", "capulet.example")})
    assert Ends(LOCAL, "relay.capulet.example", pairs).pairs == pairs
    with pytest.raises(MisuseError):
        Ends(LOCAL, peer, pairs)


def test_a_stream_does_not_carry_what_carries_it() -> None:
    with pytest.raises(MisuseError):
        Ends(
            LOCAL, "relay.capulet.example", frozenset({DomainPair(LOCAL, "relay.capulet.example")})
        )
