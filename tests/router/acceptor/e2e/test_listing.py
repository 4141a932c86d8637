"""Who is listed, and what is answered without a session."""

import pytest

from router.acceptor.e2e.listing import Listing
from router.config import E2e, Express
from router.xmpp import names
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Stanza, cut

RELAY = "relay.montague.example"
PAIR = DomainPair("montague.example", "verona.example")
LISTING = Listing(
    E2e(
        RELAY,
        accept=("capulet.example", "Romeo@montague.example", "tybalt@verona.example/duel"),
        express=(Express("relay.verona.example", (PAIR,)),),
    )
)


@pytest.mark.parametrize(
    ("address", "is_listed"),
    [
        ("capulet.example", True),
        ("Capulet.example", True),
        ("juliet@capulet.example/balcony", True),
        ("romeo@montague.example/orchard", True),
        ("ROMEO@montague.example", True),
        ("mercutio@montague.example", False),
        ("montague.example", False),
        ("tybalt@verona.example/duel", True),
        ("tybalt@verona.example", False),
        ("tybalt@verona.example/Duel", False),
        ("relay.verona.example", True),
        ("verona.example", False),
        ("x.capulet.example", False),
        ("@capulet.example", False),
        ("", False),
    ],
)
def test_who_may_open_a_session(address: str, is_listed: bool) -> None:
    assert LISTING.may_open(address) is is_listed


def test_nobody_is_listed_by_default() -> None:
    assert not Listing(E2e(RELAY)).has_anybody()
    assert not Listing(E2e(RELAY)).may_open("capulet.example")
    assert LISTING.has_anybody()


def test_only_express_peers_carry_pairs() -> None:
    assert LISTING.pairs_with("relay.verona.example") == {PAIR}
    assert LISTING.pairs_with("capulet.example") == frozenset()


def asked(sender: str, payload: str, kind: str = "get") -> Stanza:
    text = f"<iq from='{sender}' to='{RELAY}' id='1' type='{kind}'>{payload}</iq>"
    return next(cut(text.encode()))


INFO = f"<query xmlns='{names.DISCO_INFO}'/>"
JINGLE = f"<jingle xmlns='{names.JINGLE}' action='session-initiate' sid='s'/>"


@pytest.mark.clause("DSC-02")
def test_those_who_may_open_a_session_see_that_they_may() -> None:
    reply = LISTING.reply_to(asked("capulet.example", INFO))
    assert reply is not None and reply.octets is not None
    assert names.JINGLE_XMLSTREAM.encode() in reply.octets


@pytest.mark.clause("JXS-03")
@pytest.mark.parametrize("payload", [JINGLE, f"<open xmlns='{names.IBB}' sid='s' block-size='1'/>"])
def test_others_learn_nothing(payload: str) -> None:
    reply = LISTING.reply_to(asked("mercutio@montague.example", payload, "set"))
    assert reply is not None and reply.octets is not None
    assert reply.is_refusal and b"<service-unavailable" in reply.octets
    seen = LISTING.reply_to(asked("mercutio@montague.example", INFO))
    assert seen is not None and seen.octets is not None and b"jingle" not in seen.octets


@pytest.mark.parametrize(
    "stanza",
    [
        asked("capulet.example", JINGLE, "set"),
        asked("capulet.example", "", "result"),
        asked("capulet.example", f"<query xmlns='{names.BYTESTREAMS}'/>"),
    ],
)
def test_what_needs_a_session_is_left_to_who_has_it(stanza: Stanza) -> None:
    assert LISTING.reply_to(stanza) is None


@pytest.mark.clause("PRX-01", "DSC-03")
def test_a_proxy_says_that_it_is_one_to_those_who_may_use_it() -> None:
    proxy = Listing(E2e(RELAY, accept=("capulet.example",), proxy=True))
    items = f"<query xmlns='{names.DISCO_ITEMS}'/>"
    for listing, is_proxy in ((proxy, True), (LISTING, False)):
        info, found = (listing.reply_to(asked("capulet.example", each)) for each in (INFO, items))
        assert info is not None and info.octets is not None
        assert found is not None and found.octets is not None
        assert (b"category='proxy' type='bytestreams'" in info.octets) is is_proxy
        assert (f'jid="{RELAY}"'.encode() in found.octets) is is_proxy
    stranger = proxy.reply_to(asked("mercutio@montague.example", INFO))
    assert stranger is not None and stranger.octets is not None
    assert b"proxy" not in stranger.octets
