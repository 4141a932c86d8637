"""A stream carries the pairs that were granted, each in its direction, and says why not others."""

import pytest

from router.xmpp.errors import StreamError
from router.xmpp.grants import Grants
from router.xmpp.pair import DomainPair

GRANTED = DomainPair("capulet.example", "montague.example")


def condition(grants: Grants, sender: str, target: str) -> str:
    with pytest.raises(StreamError) as raised:
        grants.check_received(DomainPair(sender, target))
    return raised.value.condition


def test_a_granted_pair_is_accepted():
    assert Grants(receive={GRANTED: "external"}).check_received(GRANTED) is None


@pytest.mark.clause("STR-17", "BIDI-12")
def test_nothing_is_accepted_before_any_proof():
    assert condition(Grants(send={GRANTED: "external"}), *GRANTED) == "not-authorized"


@pytest.mark.clause("RTE-02", "RTE-04")
def test_a_target_without_a_grant():
    assert (
        condition(Grants(receive={GRANTED: "external"}), "capulet.example", "x.example")
        == "host-unknown"
    )


@pytest.mark.clause("RTE-03")
def test_a_sender_without_a_grant():
    assert (
        condition(Grants(receive={GRANTED: "external"}), "x.example", "montague.example")
        == "invalid-from"
    )


@pytest.mark.clause("SAS-07", "BIDI-09")
def test_a_grant_holds_in_its_direction_only():
    assert condition(Grants(receive={GRANTED: "external"}), *GRANTED.inverse()) == "host-unknown"


@pytest.mark.clause("RTE-03")
def test_two_grants_do_not_make_a_third():
    grants = Grants(
        receive=dict.fromkeys((GRANTED, DomainPair("verona.example", "padua.example")), "dialback")
    )
    assert condition(grants, "verona.example", "montague.example") == "invalid-from"
