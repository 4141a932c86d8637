"""The elements of XEP-0047: what is written is read again, and what is wrong with others."""

import base64
from xml.etree import ElementTree as etree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.ibb_elements import Close, Data, Open, decoded, parse
from router.xmpp.errors import StanzaError

IBB = "xmlns='http://jabber.org/protocol/ibb'"
SIDS = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=256)


def read(octets: bytes | str) -> Open | Data | Close | StanzaError:
    return parse(etree.fromstring(octets))


@given(
    st.one_of(
        st.builds(Open, SIDS, st.integers(1, 65_535), st.sampled_from(["iq", "message"])),
        st.builds(Data, SIDS, st.integers(0, 65_535), st.binary()),
        st.builds(Close, SIDS),
    )
)
def test_what_is_written_is_read_again(said: Open | Data | Close) -> None:
    assert read(said.octets()) == said


@pytest.mark.clause("IBB-01")
def test_an_open_as_the_standard_has_it() -> None:
    assert Open("ch3d9s71", 2048).octets() == (
        b"<open xmlns='http://jabber.org/protocol/ibb'"
        b' block-size="2048" sid="ch3d9s71" stanza="iq"/>'
    )
    assert read(f"<open {IBB} block-size='2048' sid='a'/>") == Open("a", 2048, "iq")


@pytest.mark.clause("IBB-03")
@pytest.mark.parametrize(
    "text",
    [
        *("BBBB=CCC", "=AAA", "QQ", "QQ=", "QQ==QQ==", "Q===", "====", "QUJDR===", "QR=="),
        *("QU JD", " QUJD", "QUJD\n", "QU-_", "ÄÖÜ="),
    ],
)
def test_base64_is_strict(text: str) -> None:
    assert decoded(text) is None
    error = read(f"<data {IBB} sid='a' seq='0'>{text}</data>")
    assert isinstance(error, StanzaError)
    assert (error.condition, error.type) == ("bad-request", "cancel")


@given(st.text(max_size=40))
def test_no_text_but_the_one_encoding_is_taken(text: str) -> None:
    octets = decoded(text)
    assert octets is None or base64.b64encode(octets).decode() == text


@pytest.mark.clause("IBB-02", "IBB-04")
@pytest.mark.parametrize(
    "element",
    [
        f"<open {IBB} sid='a'/>",
        f"<open {IBB} block-size='0' sid='a'/>",
        f"<open {IBB} block-size='65536' sid='a'/>",
        f"<open {IBB} block-size='-1' sid='a'/>",
        f"<open {IBB} block-size='4k' sid='a'/>",
        f"<open {IBB} block-size='٤' sid='a'/>",
        f"<open {IBB} block-size='{'9' * 5000}' sid='a'/>",
        f"<open {IBB} block-size='4096'/>",
        f"<open {IBB} block-size='4096' sid='a' stanza='presence'/>",
        f"<data {IBB} sid='a'>QUJD</data>",
        f"<data {IBB} seq='65536' sid='a'>QUJD</data>",
        f"<data {IBB} seq='-1' sid='a'>QUJD</data>",
        f"<data {IBB} seq='0' sid='a'>QUJD<x/></data>",
        f"<data {IBB} seq='0' sid=''>QUJD</data>",
        f"<data {IBB} seq='0' sid='{'a' * 257}'>QUJD</data>",
        f"<close {IBB}/>",
    ],
)
def test_what_cannot_be_read_is_a_bad_request(element: str) -> None:
    error = read(element)
    assert isinstance(error, StanzaError)
    assert error.condition == "bad-request"


def test_the_largest_block_is_allowed() -> None:
    assert read(f"<open {IBB} block-size='65535' sid='a'/>") == Open("a", 65_535)


def test_an_element_that_the_standard_does_not_have() -> None:
    error = read(f"<reset {IBB} sid='a'/>")
    assert isinstance(error, StanzaError)
    assert error.condition == "feature-not-implemented"
