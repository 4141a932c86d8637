"""What a stream writes besides stanzas, byte for byte."""

import pytest
from lxml import etree

from router.xmpp import names, writer
from router.xmpp.errors import StreamError


@pytest.mark.clause("STR-05", "STR-11", "STR-12", "DBK-01")
def test_the_header_declares_stream_and_db_and_says_who_we_are():
    octets = writer.server_header(sender="m.example", target="c.example", stream_id=None)
    assert octets.startswith(b"<?xml version='1.0'?><stream:stream ")
    root = etree.fromstring(octets + writer.CLOSING_TAG)
    assert root.nsmap == {None: names.SERVER, "db": names.DIALBACK, "stream": names.STREAMS}
    assert dict(root.attrib) == {
        "from": "m.example",
        "to": "c.example",
        "version": "1.0",
        f"{{{names.XML}}}lang": "en",
    }


@pytest.mark.clause("ERR-01")
def test_a_stream_error_has_one_condition_and_ends_the_stream():
    error = StreamError("policy-violation", "too <big>", (names.ERRORS, "stanza-too-big"))
    octets = writer.stream_error(error)
    assert octets.endswith(b"</stream:error></stream:stream>")
    header = writer.server_header(sender="m.example", target=None, stream_id="1")
    (element,) = etree.fromstring(header + octets)
    assert [child.tag for child in element] == [
        f"{{{names.STREAM_ERRORS}}}policy-violation",
        f"{{{names.STREAM_ERRORS}}}text",
        f"{{{names.ERRORS}}}stanza-too-big",
    ]
    assert element[1].text == "too <big>"


@pytest.mark.clause("XML-08")
def test_addresses_are_escaped():
    octets = writer.server_header(sender="a'b<c>&\"d", target=None, stream_id="x")
    assert etree.fromstring(octets + writer.CLOSING_TAG).get("from") == "a'b<c>&\"d"


@pytest.mark.clause("FEA-01")
def test_features_may_be_empty():
    assert writer.features() == b"<stream:features></stream:features>"


@pytest.mark.clause("E2E-01", "STR-12")
def test_the_header_of_an_end_to_end_stream():
    octets = writer.client_header(sender="m.example", target="j@c.example/b", stream_id="1")
    assert octets.startswith(b"<?xml version='1.0'?><stream:stream ")
    root = etree.fromstring(octets + writer.CLOSING_TAG)
    assert root.nsmap == {None: names.CLIENT, "stream": names.STREAMS}
    assert dict(root.attrib) == {
        "from": "m.example",
        "to": "j@c.example/b",
        "id": "1",
        "version": "1.0",
        f"{{{names.XML}}}lang": "en",
    }
