"""Which transport is next, which is on the table, and of which bytestream one speaks."""

import pytest

from router.xmpp import names
from router.xmpp.errors import MisuseError
from router.xmpp.jingle.offers import Offers
from tests.router.xmpp.jingle.joined import IBB, S5B, Pipe

SECOND = Pipe("socks2", namespace=names.JINGLE_S5B)


def planned(*offers: Pipe) -> Offers:
    made = Offers()
    made.plan(offers)
    return made


@pytest.mark.clause("JXS-06")
def test_offers_are_made_in_order_in_band_last() -> None:
    offers = planned(S5B, SECOND, IBB)
    made = []
    while not offers.are_exhausted():
        made.append(offers.offer_next())
        assert offers.on_table is made[-1]
        assert offers.sid == made[-1].sid
    assert made == [S5B, SECOND, IBB]


@pytest.mark.clause("JXS-06")
@pytest.mark.parametrize("wrong", [(), (S5B,), (IBB, S5B), (IBB, IBB)])
def test_any_other_plan_is_our_own_fault(wrong: tuple[Pipe, ...]) -> None:
    with pytest.raises(MisuseError):
        planned(*wrong)


@pytest.mark.clause("JXS-01")
def test_what_the_peer_does_not_support_is_not_offered() -> None:
    offers = planned(S5B, SECOND, IBB)
    offers.restrict(frozenset({names.JINGLE_IBB}))
    assert offers.offer_next() == IBB
    assert offers.are_exhausted()


def test_a_replacement_is_spoken_of_once_it_is_settled() -> None:
    offers = planned(S5B, IBB)
    offers.offer_next()
    offers.put(IBB)
    assert (offers.on_table, offers.sid) == (IBB, "socks")
    offers.settle()
    assert (offers.sid, offers.is_former("socks"), offers.is_former("inband")) == (
        "inband",
        True,
        False,
    )
