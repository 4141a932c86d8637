"""What is asked of a proxy, and where it is (XEP-0065 §4, §6.3.5)."""

from xml.etree import ElementTree as etree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.xmpp.bytestreams.streamhost import (
    QUERY_TAG,
    Activate,
    AddressWanted,
    StreamHost,
    parse_request,
    parse_streamhost,
)
from router.xmpp.errors import StanzaError

BYTESTREAMS = "xmlns='http://jabber.org/protocol/bytestreams'"
TEXT = st.text("abc:.<'&\"é", min_size=1, max_size=20)


def refused(query: str, type_of: str = "set") -> tuple[str, str]:
    error = parse_request(etree.fromstring(query), type_of)
    assert isinstance(error, StanzaError)
    return error.condition, error.type


@pytest.mark.clause("PRX-01")
def test_where_a_proxy_is() -> None:
    element = StreamHost("relay.montague.example", "192.0.2.1", 7625).element()
    assert element == (
        "<query xmlns='http://jabber.org/protocol/bytestreams'><streamhost"
        ' host="192.0.2.1" jid="relay.montague.example" port="7625"/></query>'
    )


@given(TEXT, TEXT, st.integers(1, 65_535))
def test_what_is_written_is_read_again(jid: str, host: str, port: int) -> None:
    here = StreamHost(jid, host, port)
    assert parse_streamhost(etree.fromstring(here.element())) == here
    asked = Activate(jid, host)
    assert parse_request(etree.fromstring(asked.element()), "set") == asked
    query = etree.fromstring(AddressWanted().element())
    assert (query.tag, parse_request(query, "get")) == (QUERY_TAG, AddressWanted())


@pytest.mark.clause("PRX-04")
@pytest.mark.parametrize("type_of", ["get", "set"])
@pytest.mark.parametrize("mode", ["udp", "x", ""])
def test_no_udp(mode: str, type_of: str) -> None:
    query = f"<query {BYTESTREAMS} mode='{mode}' sid='a'><activate>a.example</activate></query>"
    assert refused(query, type_of) == ("not-acceptable", "modify")


def test_bytestreams_are_agreed_by_jingle() -> None:
    offer = f"<query {BYTESTREAMS} sid='a'><streamhost jid='a' host='b' port='1'/></query>"
    assert refused(offer) == ("not-acceptable", "modify")


@pytest.mark.parametrize(
    "query",
    [
        f"<query {BYTESTREAMS}><activate>a.example</activate></query>",
        f"<query {BYTESTREAMS} sid=''><activate>a.example</activate></query>",
        f"<query {BYTESTREAMS} sid='a'/>",
        f"<query {BYTESTREAMS} sid='a'><activate/></query>",
        f"<query {BYTESTREAMS} sid='a'><activate> </activate></query>",
        f"<query {BYTESTREAMS} sid='a'><activate>{'a' * 3072}</activate></query>",
        f"<query {BYTESTREAMS} sid='a'><activate>a</activate><activate>b</activate></query>",
    ],
)
def test_what_is_no_request(query: str) -> None:
    assert refused(query) == ("bad-request", "modify")


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<streamhost host='b' port='1'/>",
        "<streamhost jid='a' port='1'/>",
        "<streamhost jid='a' host='b' port='0'/>",
        "<streamhost jid='a' host='b' port='65536'/>",
        "<streamhost jid='a' host='b' port='x'/>",
        f"<streamhost jid='a' host='{'b' * 256}' port='1'/>",
    ],
)
def test_a_place_that_is_none(inside: str) -> None:
    assert parse_streamhost(etree.fromstring(f"<query {BYTESTREAMS}>{inside}</query>")) is None


def test_the_port_that_socks_has() -> None:
    query = f"<query {BYTESTREAMS}><streamhost jid='a' host='b'/></query>"
    assert parse_streamhost(etree.fromstring(query)) == StreamHost("a", "b", 1080)
