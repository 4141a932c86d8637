"""In-band bytestreams as offered and answered in Jingle (XEP-0261)."""

from dataclasses import replace
from xml.etree import ElementTree as etree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp import names
from router.xmpp.bytestreams.ibb_transport import NAMESPACES, IbbOffer, parse
from router.xmpp.bytestreams.s5b_transport import S5bOffer
from router.xmpp.jingle.transport import TransportFault

OFFER = IbbOffer("ch3d9s71")
ONE = f"xmlns='{names.JINGLE_IBB}'"


def read(octets: bytes | str) -> IbbOffer | TransportFault:
    return parse(etree.fromstring(octets))


@given(
    st.builds(
        IbbOffer,
        st.text("abc<'&\"é", min_size=1, max_size=256),
        st.integers(1, 65_535),
        st.sampled_from(["iq", "message"]),
        st.sampled_from(NAMESPACES),
        st.booleans(),
    )
)
def test_what_is_written_is_read_again(offer: IbbOffer) -> None:
    assert read(offer.element()) == offer


@pytest.mark.clause("IBB-02")
def test_an_offer_says_4096_unless_told_otherwise() -> None:
    assert OFFER.element() == (
        b"<transport xmlns='urn:xmpp:jingle:transports:ibb:1'"
        b' block-size="4096" sid="ch3d9s71"></transport>'
    )
    assert read(f"<transport {ONE} sid='a'/>") == IbbOffer("a", 4096)


@pytest.mark.clause("IBB-02")
@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (OFFER, True),
        (replace(OFFER, block_size_bytes=2048), True),
        (replace(OFFER, block_size_bytes=4097), False),
        (replace(OFFER, sid="another"), False),
        (replace(OFFER, namespace=names.JINGLE_IBB_0), False),
        (replace(OFFER, stanza="message"), False),
        (replace(OFFER, can_repair=True), False),
        (S5bOffer(OFFER.sid), False),
    ],
)
def test_an_answer_may_lower_the_block_size_and_nothing_else(
    answer: IbbOffer | S5bOffer, is_one: bool
) -> None:
    assert OFFER.is_answered_by(answer) is is_one


@pytest.mark.clause("IBB-02")
def test_our_answer_lowers_the_block_size_to_what_we_take_and_never_raises_it() -> None:
    assert OFFER.answer(max_block_bytes=2048) == replace(OFFER, block_size_bytes=2048)
    assert OFFER.answer(max_block_bytes=65_535) == OFFER


@pytest.mark.clause("IBB-01")
def test_a_legacy_offer_is_answered_in_its_namespace() -> None:
    legacy = read(f"<transport xmlns='{names.JINGLE_IBB_0}' block-size='4096' sid='a'/>")
    assert isinstance(legacy, IbbOffer)
    assert b"transports:ibb:0'" in legacy.answer(4096).element()


def test_repair_is_answered_where_it_was_offered_alone() -> None:
    offer = replace(OFFER, can_repair=True)
    assert offer.answer(4096).can_repair
    assert not OFFER.answer(4096).can_repair
    assert offer.is_answered_by(OFFER)


@pytest.mark.parametrize(
    "inside",
    [
        "block-size='4096'",
        "block-size='65536' sid='a'",
        "block-size='0' sid='a'",
        "block-size='x' sid='a'",
        "sid=''",
        f"sid='{'a' * 257}'",
        "sid='a' stanza='presence'",
    ],
)
def test_what_breaks_the_standard_is_a_fault(inside: str) -> None:
    assert isinstance(read(f"<transport {ONE} {inside}/>"), TransportFault)


def test_another_method_is_a_fault() -> None:
    assert isinstance(read(S5bOffer("a").element()), TransportFault)
