"""What RFC 6120 §11 forbids in a stream, and which condition it ends with."""

import pytest

from router.xmpp.reader import Header
from tests.router.xmpp.reader.reading import HEADER, fault, read

OPEN = b"<message from='a.example' to='b.example'>"


@pytest.mark.clause("XML-01")
@pytest.mark.parametrize(
    "octets",
    [
        b"<!-- x -->",
        b"<?x y?>",
        b"<!DOCTYPE s [<!ENTITY a 'lol'>]>",
        b"<!DOCTYPE s SYSTEM 'http://127.0.0.1:9/x'>",
        OPEN + b"<!-- x --></message>",
        OPEN + b"<!-- x -- y --></message>",
        OPEN + b"<!-- \xff --></message>",
        OPEN + b"<!-- > \" > ' > --></message>",
        OPEN + b"<body>a<?x y?></body></message>",
        OPEN + b"<?xml version='1.0'?></message>",
        OPEN + b"<!DOCTYPE a></message>",
        OPEN + b"<!ELEMENT a></message>",
        OPEN + b"<body>&foo;</body></message>",
        OPEN + b"<body a='&foo;'/></message>",
        OPEN + b"text <!-- x --></message>",
    ],
)
def test_restricted_xml_is_refused_inside_and_between_stanzas(octets: bytes) -> None:
    assert read(HEADER + octets) == [read(HEADER)[0], ("fault", "restricted-xml", None)]


@pytest.mark.clause("XML-01")
@pytest.mark.parametrize(
    "octets", [b"<!-- x -->", b"<?x y?>", b"<!DOCTYPE s>", b"<?xmlx?>", b" <?xml version='1.0'?>"]
)
def test_restricted_xml_is_refused_before_the_header(octets: bytes) -> None:
    assert fault(octets + HEADER) == "restricted-xml"


@pytest.mark.clause("XML-01", "XML-05")
@pytest.mark.parametrize(
    "octets", [b"<!-", b"<?", b"<!D", OPEN + b"<!-", OPEN + b"<b>x<?", OPEN + b"<!E"]
)
def test_an_unending_comment_is_refused_where_it_begins(octets: bytes) -> None:
    assert fault(HEADER + octets) == "restricted-xml"


@pytest.mark.clause("XML-03")
@pytest.mark.parametrize(
    "octets",
    [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xe3\x80y",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xf0\x80>",
    ],
)
@pytest.mark.parametrize(
    "around",
    [
        (OPEN + b"<body>", b"</body></message>"),
        (OPEN + b"<body a='", b"'/></message>"),
        (OPEN + b"<b", b"/></message>"),
        (OPEN + b"<b ", b"='1'/></message>"),
        (OPEN + b"<body><![CDATA[", b"]]></body></message>"),
    ],
    ids=["text", "value", "name", "attribute", "cdata"],
)
def test_octets_that_are_not_utf8_are_refused(octets: bytes, around: tuple[bytes, bytes]) -> None:
    assert fault(HEADER + around[0] + octets + around[1]) == "unsupported-encoding"


@pytest.mark.clause("XML-03")
@pytest.mark.parametrize(
    "octets",
    [
        b"\xef\xbb\xbf" + HEADER,
        HEADER.decode().encode("utf-16"),
        HEADER.decode().encode("utf-16-le"),
        HEADER.decode().encode("utf-16-be"),
        HEADER.replace(b"?>", b" encoding='utf-16'?>"),
        HEADER.replace(b"?>", b' encoding="ISO-8859-1"?>'),
        HEADER.replace(b"?>", b" encoding='UTF-7'?>"),
        HEADER.replace(b"a.example", b"\xe9.example"),
        HEADER + b"\xff",
    ],
)
def test_encodings_other_than_utf8_are_refused(octets: bytes) -> None:
    assert fault(octets) == "unsupported-encoding"


@pytest.mark.clause("XML-03", "STR-12")
@pytest.mark.parametrize(
    "declaration",
    [
        b"",
        b"\n",
        b"<?xml version='1.0'?>\r\n",
        b'<?xml version="1.0" encoding="utf-8" ?>',
        b"<?xml version = '1.0' encoding='UTF-8' standalone='no'?>",
    ],
)
def test_declarations_of_xml_in_utf8_are_accepted(declaration: bytes) -> None:
    assert isinstance(read(declaration + HEADER.partition(b"?>")[2])[0], Header)


@pytest.mark.clause("XML-02")
@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n",
        b"<?xml version='1.1'?>" + HEADER,
        b"<?xml encoding='UTF-8'?>" + HEADER,
        b"<?xml version='1.0'>" + HEADER,
        b"<stream:stream xmlns='jabber:server'>",
        b"<stream a='1' a='2'>",
        b"</stream>",
    ],
)
def test_what_cannot_begin_a_stream_is_not_well_formed(octets: bytes) -> None:
    assert read(octets) == [("fault", "not-well-formed", None)]


@pytest.mark.clause("XML-04")
@pytest.mark.parametrize("octets", [b"x", b"&#32;", b"\xc3\xa4", b"<![CDATA[ ]]>", b"]]>"])
@pytest.mark.parametrize("before", [b"", b" \n", OPEN + b"</message>"])
@pytest.mark.parametrize("after", [b"", b"<message/>", b"</stream:stream>", b"<a b=c>"])
def test_text_between_stanzas_is_bad_format(before: bytes, octets: bytes, after: bytes) -> None:
    assert fault(HEADER + before + octets + after) == "bad-format"


@pytest.mark.clause("XML-01", "XML-04", "XML-07")
@pytest.mark.parametrize(
    "octets, condition",
    [
        (OPEN + b"<?xml ]]>\xff<<!-- x -->>", "restricted-xml"),
        (OPEN + b"<!--<b a='1'>\x80<?xml '><b>", "restricted-xml"),
        (OPEN + b"a>\xf0?>\x01&lt;</message>", "unsupported-encoding"),
        (OPEN + b"</message>\xc3\xa4<?xml '/>x>", "bad-format"),
    ],
)
def test_the_first_of_several_faults_in_a_row(octets: bytes, condition: str) -> None:
    assert fault(HEADER + octets) == condition
