"""Which pairs bidi opens in the other direction, and when a request counts."""

import pytest

from router.xmpp.bidi import acceptable, request_counts, sendable
from router.xmpp.pair import DomainPair
from router.xmpp.states import Phase

PROVED = DomainPair("capulet.example", "montague.example")


@pytest.mark.clause("BIDI-09", "BIDI-10")
def test_we_may_send_the_inverse_of_what_the_peer_proved_and_nothing_else():
    assert sendable({PROVED}, bidi=True) == {DomainPair("montague.example", "capulet.example")}


@pytest.mark.clause("BIDI-12")
def test_without_bidi_a_stream_is_one_way():
    assert sendable({PROVED}, bidi=False) == frozenset()
    assert acceptable({PROVED.inverse()}, bidi=False) == frozenset()


@pytest.mark.clause("BIDI-11")
def test_we_accept_the_inverse_of_what_we_hold():
    assert acceptable({PROVED.inverse()}, bidi=True) == {PROVED}


@pytest.mark.clause("BIDI-07")
@pytest.mark.parametrize(
    "changed",
    [{"offered": False}, {"already": True}, {"proof_begun": True}, {"phase": Phase.OPEN}],
)
def test_a_request_out_of_place_has_no_effect(changed):
    given = {"phase": Phase.SECURE, "offered": True, "already": False, "proof_begun": False}
    assert request_counts(**given)
    assert not request_counts(**{**given, **changed})
