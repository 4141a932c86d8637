"""Candidates and what is said of them, written and read (XEP-0260 §2.2 to §2.4)."""

from dataclasses import replace
from xml.etree import ElementTree as etree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.ibb_transport import IbbOffer
from router.xmpp.bytestreams.s5b_transport import (
    MAX_CANDIDATES,
    TYPE_PREFERENCES,
    Activated,
    Candidate,
    CandidateError,
    CandidateUsed,
    ProxyError,
    S5bOffer,
    Said,
    parse,
    parse_info,
    priority,
)
from router.xmpp.jingle.transport import TransportFault

S5B = "xmlns='urn:xmpp:jingle:transports:s5b:1'"
DIRECT = Candidate("hft54dqy", "192.168.4.1", "romeo@montague.lit/orchard", 5086, 8_257_636)
IPV6 = replace(DIRECT, cid="grt654q2", host="2001:638:708:30c9:219:d1ff:fea4:a17d", port=6539)
PROXY = Candidate("xmdh4b7i", "streamer.example", "streamer.example", 7625, 655_360, "proxy")
HASH = "972b7bf47291ca609517f67f86b5081086052dad"
OFFER = S5bOffer("vj3hs98y", (DIRECT, IPV6, PROXY), HASH)

TEXT = st.text("abc:.<'&\"é", min_size=1, max_size=20)
CANDIDATES = st.builds(
    Candidate,
    TEXT,
    TEXT,
    TEXT,
    st.integers(1, 65_535),
    st.integers(1, 2**31 - 1),
    st.sampled_from(sorted(TYPE_PREFERENCES)),
)
OFFERS = st.builds(
    S5bOffer,
    TEXT,
    st.lists(CANDIDATES, max_size=5, unique_by=lambda each: each.cid).map(tuple),
    st.none() | st.just(HASH),
    st.sampled_from([None, "tcp"]),
)


def read(octets: bytes | str) -> S5bOffer | TransportFault:
    return parse(etree.fromstring(octets))


def told(octets: bytes | str) -> Said | TransportFault:
    return parse_info(etree.fromstring(octets))


def candidate(**changes: str | None) -> str:
    given = {
        **{"cid": "c", "host": "192.0.2.1", "jid": "a.example", "port": "1", "priority": "1"},
        **changes,
    }
    inside = " ".join(f"{k}='{v}'" for k, v in given.items() if v is not None)
    return f"<transport {S5B} sid='a'><candidate {inside}/></transport>"


@pytest.mark.clause("S5B-01")
@given(OFFERS)
def test_what_is_written_is_read_again(offer: S5bOffer) -> None:
    assert read(offer.element()) == offer


@pytest.mark.clause("S5B-01")
def test_an_offer_in_octets() -> None:
    assert S5bOffer("vj3hs98y", (DIRECT,), HASH).element() == (
        b"<transport xmlns='urn:xmpp:jingle:transports:s5b:1' sid=\"vj3hs98y\""
        b' dstaddr="972b7bf47291ca609517f67f86b5081086052dad">'
        b'<candidate cid="hft54dqy" host="192.168.4.1" jid="romeo@montague.lit/orchard"'
        b' port="5086" priority="8257636" type="direct"/></transport>'
    )


@pytest.mark.clause("S5B-01")
@pytest.mark.parametrize("missing", ["cid", "host", "jid", "priority"])
def test_a_candidate_that_lacks_something(missing: str) -> None:
    assert isinstance(read(candidate(**{missing: None})), TransportFault)
    assert isinstance(read(candidate(**{missing: ""})), TransportFault)


@pytest.mark.clause("S5B-01")
@pytest.mark.parametrize(
    "element",
    [
        f"<transport {S5B}/>",
        f"<transport {S5B} sid=''/>",
        f"<transport {S5B} sid='a' mode='udp'/>",
        f"<transport {S5B} sid='a' mode='x'/>",
        "<transport xmlns='urn:xmpp:jingle:transports:s5b:0' sid='a'/>",
        candidate(port="0"),
        candidate(port="65536"),
        candidate(port="x"),
        candidate(priority="0"),
        candidate(priority="-1"),
        candidate(priority=str(2**31)),
        candidate(priority="٣"),
        candidate(host="a" * 256),
        candidate(jid="a" * 3072),
    ],
)
def test_what_breaks_the_standard_is_a_fault(element: str) -> None:
    assert isinstance(read(element), TransportFault)


def test_what_may_be_left_out() -> None:
    offer = read(candidate(port=None))
    assert isinstance(offer, S5bOffer)
    assert (offer.candidates[0].port, offer.candidates[0].type) == (1080, "direct")
    assert read(f"<transport {S5B} sid='a'/>") == S5bOffer("a")


def test_a_candidate_of_an_unknown_type_is_left_out() -> None:
    assert read(candidate(type="carrier-pigeon")) == S5bOffer("a")


def test_candidates_are_bounded_and_have_names_of_their_own() -> None:
    many = tuple(replace(DIRECT, cid=f"c{n}") for n in range(MAX_CANDIDATES + 1))
    assert isinstance(read(S5bOffer("a", many).element()), TransportFault)
    assert read(S5bOffer("a", many[:-1]).element()) == S5bOffer("a", many[:-1])
    twice = S5bOffer("a", (DIRECT, replace(PROXY, cid=DIRECT.cid)))
    assert isinstance(read(twice.element()), TransportFault)


@pytest.mark.clause("S5B-02")
@pytest.mark.parametrize(
    ("type_of", "local", "number"),
    [
        ("direct", 100, 8_257_636),
        ("direct", 65_535, 8_323_071),
        ("assisted", 0, 7_864_320),
        ("tunnel", 1, 7_208_961),
        ("proxy", 0, 655_360),
    ],
)
def test_priorities(type_of: str, local: int, number: int) -> None:
    assert priority(type_of, local) == number


@pytest.mark.clause("S5B-01")
@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (S5bOffer("vj3hs98y"), True),
        (S5bOffer("vj3hs98y", (replace(DIRECT, port=5087),)), True),
        (S5bOffer("vj3hs98y", (PROXY,), mode="tcp"), True),
        (S5bOffer("another"), False),
        (IbbOffer("vj3hs98y"), False),
    ],
)
def test_an_answer_repeats_the_sid(answer: S5bOffer | IbbOffer, is_one: bool) -> None:
    assert OFFER.is_answered_by(answer) is is_one


@pytest.mark.clause("S5B-01")
@given(OFFERS, OFFERS)
def test_our_answer_is_one(offer: S5bOffer, ours: S5bOffer) -> None:
    answer = offer.answer(ours)
    assert offer.is_answered_by(answer)
    assert answer.mode is None
    assert set(answer.candidates) <= set(ours.candidates)
    offered = {each.place() for each in offer.candidates}
    assert not offered & {each.place() for each in answer.candidates}


@pytest.mark.clause("S5B-01")
@pytest.mark.parametrize(
    ("host", "is_same"),
    [
        ("2001:638:708:30C9:0219:d1ff:fea4:a17d", True),
        ("2001:638:708:30c9:219:d1ff:fea4:a17e", False),
        ("[2001:638:708:30c9:219:d1ff:fea4:a17d]", False),
    ],
)
def test_an_address_is_the_same_however_it_is_spelled(host: str, is_same: bool) -> None:
    assert (replace(IPV6, host=host).place() == IPV6.place()) is is_same


@pytest.mark.clause("S5B-01")
def test_our_answer_leaves_out_what_the_initiator_has_offered() -> None:
    mine = replace(DIRECT, cid="mine", host="192.0.2.7")
    ours = S5bOffer("x", (mine, replace(PROXY, cid="same", host="STREAMER.example")), HASH, "tcp")
    assert OFFER.answer(ours) == S5bOffer("vj3hs98y", (mine,), HASH)


@pytest.mark.clause("S5B-03", "S5B-05")
@pytest.mark.parametrize(
    ("said", "inside"),
    [
        (CandidateUsed("a", "c<"), b'<candidate-used cid="c&lt;"/>'),
        (CandidateError("a"), b"<candidate-error/>"),
        (Activated("a", "c"), b'<activated cid="c"/>'),
        (ProxyError("a"), b"<proxy-error/>"),
    ],
)
def test_what_is_said_in_a_transport_info(said: Said, inside: bytes) -> None:
    assert said.element() == f'<transport {S5B} sid="a">'.encode() + inside + b"</transport>"
    assert told(said.element()) == said
    assert said.namespace == S5bOffer("a").namespace


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<candidate-error/><proxy-error/>",
        "<candidate-used/>",
        "<activated cid=''/>",
        "<candidate-error xmlns='urn:x'/>",
        "<other/>",
    ],
)
def test_a_transport_info_that_says_nothing(inside: str) -> None:
    assert isinstance(told(f"<transport {S5B} sid='a'>{inside}</transport>"), TransportFault)
    assert isinstance(told(f"<transport {S5B}><candidate-error/></transport>"), TransportFault)
