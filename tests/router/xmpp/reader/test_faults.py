"""What ends a stream, and with which condition (RFC 6120 §4.9.3, §11)."""

import pytest

from router.xmpp import names
from router.xmpp.reader import Header, Limits, Reader, Run
from tests.router.xmpp.reader.reading import COMPONENT_HEADER, HEADER, LIMITS, read, whole

M = b"<message from='a.example' to='b.example'>"
TOO_BIG = (names.ERRORS, "stanza-too-big")


def fault(octets: bytes, limits: Limits = LIMITS, content: str = names.SERVER) -> str:
    last = read(octets, limits, content)[-1]
    assert isinstance(last, tuple) and last[0] == "fault", last
    return str(last[1])


@pytest.mark.clause("XML-01")
@pytest.mark.parametrize(
    "octets",
    [
        b"<!-- x -->",
        b"<?x y?>",
        b"<!DOCTYPE s [<!ENTITY a 'lol'>]>",
        b"<!DOCTYPE s SYSTEM 'http://127.0.0.1:9/x'>",
        M + b"<!-- x --></message>",
        M + b"<!-- x -- y --></message>",
        M + b"<!-- \xff --></message>",
        M + b"<!-- > \" > ' > --></message>",
        M + b"<body>a<?x y?></body></message>",
        M + b"<?xml version='1.0'?></message>",
        M + b"<!DOCTYPE a></message>",
        M + b"<!ELEMENT a></message>",
        M + b"<body>&foo;</body></message>",
        M + b"<body a='&foo;'/></message>",
        M + b"text <!-- x --></message>",
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
@pytest.mark.parametrize("octets", [b"<!-", b"<?", b"<!D", M + b"<!-", M + b"<b>x<?", M + b"<!E"])
def test_an_unending_comment_is_refused_where_it_begins(octets: bytes) -> None:
    assert fault(HEADER + octets) == "restricted-xml"


@pytest.mark.clause("XML-02")
@pytest.mark.parametrize(
    "octets",
    [
        b"<a><b></a>",
        b"<a b='1' b='2'></a>",
        b"<a b=1></a>",
        b"<a b='1'c='2'/>",
        b"<a b='<'/>",
        b"<a>]]></a>",
        b"<p:a/>",
        b"<a p:b='1'/>",
        b"<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        b"<a xmlns:p=''/>",
        b"<a xmlns:xml='u'/>",
        b"<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        b"<a xmlns:xmlns='u'/>",
        b"<p:q:a xmlns:p='u'/>",
        b"<a>&#0;</a>",
        b"<a>&#xFFFE;</a>",
        b"<a>\x01</a>",
        b"<a>\xef\xbf\xbe</a>",
        b"<a>& b</a>",
        b"< a/>",
        b"</>",
        b"<![CDATX[ ]]>",
        b"<a><![cdata[ ]]></a>",
        b"<1/>",
    ],
)
def test_what_is_not_well_formed_is_not_routed(octets: bytes) -> None:
    assert read(HEADER + M + octets + b"</message>") == [
        read(HEADER)[0],
        ("fault", "not-well-formed", None),
    ]


@pytest.mark.clause("XML-02")
def test_stanzas_before_the_fault_are_routed_and_none_behind() -> None:
    good = M + b"</message>"
    tokens = read(HEADER + good + good + b"<message a='1' a='1'/>" + good)
    assert [type(token) for token in tokens[:2]] == [Header, Run]
    assert tokens[1].octets == good + good
    assert tokens[2:] == [("fault", "not-well-formed", None)]


@pytest.mark.clause("XML-02")
def test_nothing_is_parsed_after_a_fault() -> None:
    reader = Reader(names.SERVER, LIMITS, careful=False)
    reader.feed(HEADER + b"<message a='1' a='1'/>")
    assert reader.feed(HEADER) == []
    assert reader.feed(M + b"</message>") == []
    assert reader.pending() == 0


@pytest.mark.clause("XML-02")
@pytest.mark.parametrize(
    "octets",
    [
        b"<presence from='a.example' to='b.example'/></presence>",
        b"<presence from='a.example' to='b.example'/></presence >",
    ],
)
def test_an_end_tag_behind_an_empty_stanza_is_not_part_of_it(octets: bytes) -> None:
    _, run, error = read(HEADER + octets)
    assert run.octets == b"<presence from='a.example' to='b.example'/>"
    assert error == ("fault", "not-well-formed", None)


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
        (M + b"<body>", b"</body></message>"),
        (M + b"<body a='", b"'/></message>"),
        (M + b"<b", b"/></message>"),
        (M + b"<b ", b"='1'/></message>"),
        (M + b"<body><![CDATA[", b"]]></body></message>"),
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
@pytest.mark.parametrize("before", [b"", b" \n", M + b"</message>"])
@pytest.mark.parametrize("after", [b"", b"<message/>", b"</stream:stream>", b"<a b=c>"])
def test_text_between_stanzas_is_bad_format(before: bytes, octets: bytes, after: bytes) -> None:
    assert fault(HEADER + before + octets + after) == "bad-format"


@pytest.mark.clause("STR-10")
@pytest.mark.parametrize(
    "header, condition",
    [
        (b"<stream:stream xmlns='jabber:server' xmlns:stream='urn:x'>", "invalid-namespace"),
        (b"<stream xmlns='jabber:server'>", "invalid-namespace"),
        (b"<stream>", "invalid-namespace"),
        (
            b"<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>",
            "invalid-namespace",
        ),
        (
            b"<s:streams xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams'>",
            "bad-format",
        ),
    ],
)
def test_a_wrong_header_is_reported_and_then_refused(header: bytes, condition: str) -> None:
    reported, error = read(header)
    assert isinstance(reported, Header)
    assert error == ("fault", condition, None)


@pytest.mark.clause("STR-10", "CMP-01")
def test_the_content_namespace_is_the_one_of_the_listener() -> None:
    assert fault(HEADER, content=names.COMPONENT) == "invalid-namespace"
    assert fault(COMPONENT_HEADER) == "invalid-namespace"
    assert len(read(COMPONENT_HEADER, content=names.COMPONENT)) == 1


@pytest.mark.clause("STR-11")
@pytest.mark.parametrize(
    "header, stanza",
    [
        (HEADER, b"<s:message xmlns:s='jabber:server' from='a.example' to='b.example'/>"),
        (HEADER, b"<s:message xmlns:s='jabber&#58;server' from='a.example' to='b.example'/>"),
        (HEADER, b"<s:message xmlns:s='jabber:server'/>"),
        (
            HEADER.replace(b" from", b" xmlns:s='jabber:server' from"),
            b"<s:message from='a.example' to='b.example'/>",
        ),
        (
            HEADER.replace(b" from", b" xmlns:message='jabber:server' from"),
            b"<message:message from='a.example' to='b.example'></message:message>",
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", M + b"</message>"])
def test_a_stanza_with_a_prefix_is_refused(header: bytes, before: bytes, stanza: bytes) -> None:
    assert fault(header + before + stanza) == "bad-namespace-prefix"


@pytest.mark.clause("STR-18")
@pytest.mark.parametrize(
    "stanza, condition",
    [
        (b"<foo/>", "unsupported-stanza-type"),
        (b"<handshake/>", "unsupported-stanza-type"),
        (b"<x xmlns='jabber:server}message'/>", "unsupported-stanza-type"),
        (b"<message xmlns='jabber:client' from='a.x' to='b.x'/>", "invalid-namespace"),
        (b"<iq xmlns='jabber:component:accept' from='a.x' to='b.x'/>", "invalid-namespace"),
        (b"<presence xmlns='' from='a.x' to='b.x'/>", "invalid-namespace"),
    ],
)
def test_unknown_first_level_elements_are_refused(stanza: bytes, condition: str) -> None:
    assert fault(HEADER + stanza) == condition


@pytest.mark.clause("RTE-01", "CMP-04", "RTE-06", "RTE-13")
@pytest.mark.parametrize(
    "attributes",
    [
        b"",
        b"from='a.example'",
        b"to='b.example'",
        b"from='' to='b.example'",
        b"from='a.example' to=''",
        b"from='a..example' to='b.example'",
        b"from='a.example' to='b c.example'",
        b"from='u@' to='b.example'",
        b"from='a.example' to='u@/r'",
        b"from='@a.example' to='b.example'",
        b"from='a.example/' to='b.example'",
        b"from='u&quot;v@a.example' to='b.example'",
        b"from='u@v@a.example' to='b.example'",
        b"from='a.example' to='u@v@b.example'",
        b"from='" + b"u" * 1024 + b"@a.example' to='b.example'",
    ],
)
@pytest.mark.parametrize("kind", [b"message", b"presence", b"iq"])
def test_improper_addresses_end_the_stream(kind: bytes, attributes: bytes) -> None:
    stanza = b"<%s id='1' type='get' %s/>" % (kind, attributes)
    assert fault(HEADER + stanza) == "improper-addressing"


@pytest.mark.clause("XML-05")
@pytest.mark.parametrize(
    "filling", [b"<body>", b"<body a='", b"<body><![CDATA[", b"<body>a > b ", b"<b", b"<body a='>"]
)
def test_a_stanza_is_too_big_one_octet_beyond_the_limit(filling: bytes) -> None:
    stanza = M + filling
    stanza += b"x" * (LIMITS.max_stanza_bytes - len(stanza))
    assert len(read(HEADER + b" \n" + stanza)) == 1
    assert read(HEADER + b" \n" + stanza + b"x")[-1] == ("fault", "policy-violation", TOO_BIG)


@pytest.mark.clause("XML-05")
def test_a_stanza_of_exactly_the_limit_passes() -> None:
    def stanza(octets: int) -> bytes:
        return M + b"x" * (octets - len(M) - 10) + b"</message>"

    run = read(HEADER + stanza(LIMITS.max_stanza_bytes))[1]
    assert len(run.octets) == LIMITS.max_stanza_bytes
    error = read(HEADER + stanza(LIMITS.max_stanza_bytes + 1))[1]
    assert error == ("fault", "policy-violation", TOO_BIG)


@pytest.mark.clause("XML-05", "XML-07")
@pytest.mark.parametrize("at", range(9_980, 10_004))
@pytest.mark.parametrize("bad", [b"\x01>", b"<!-- -->", b"<a b='1' b='2'>", b"\xf0\x80>y>"])
def test_of_two_faults_the_first_in_the_stream_counts(at: int, bad: bytes) -> None:
    stanza = M + b"x" * (at - len(M)) + bad
    assert len(read(HEADER + stanza + b"y" * 50 + b">" + b"z" * 50)) == 2


@pytest.mark.clause("XML-05", "XML-07")
@pytest.mark.parametrize("size", [100, 4_080, 4_097, 5_000, 9_950, 9_990])
@pytest.mark.parametrize("bad", [b"\x01", b"<", b"' b=1 c='", b"\xf0\x80>"])
def test_a_fault_in_a_long_tag_has_one_place(size: int, bad: bytes) -> None:
    tag = b"<a b='" + b">" * 10 + b"x" * size + bad + b">" + b"y>" * 300 + b"'>"
    assert len(read(HEADER + M + tag)) == 2


@pytest.mark.clause("XML-03", "XML-07")
@pytest.mark.parametrize("size", [10, 4_090, 4_096, 5_000])
@pytest.mark.parametrize("place", [b"", b" a='1' b='"])
def test_half_a_character_at_the_end_of_a_long_tag(size: int, place: bytes) -> None:
    tag = b"<b" + b"x" * size + place + b"\xf0>>>" + b"y>" * 20
    assert fault(HEADER + M + tag + b"'>z>") == "unsupported-encoding"


@pytest.mark.clause("XML-03", "XML-07")
@pytest.mark.parametrize("octet", [b"\xff", b"\xf5", b"\xc0", b"\x80"])
def test_an_octet_that_begins_no_character_is_judged_at_the_next_end(octet: bytes) -> None:
    assert fault(HEADER + M + b"<b a='" + octet + b">") == "unsupported-encoding"


@pytest.mark.clause("XML-01", "XML-04", "XML-07")
@pytest.mark.parametrize(
    "octets, condition",
    [
        (M + b"<?xml ]]>\xff<<!-- x -->>", "restricted-xml"),
        (M + b"<!--<b a='1'>\x80<?xml '><b>", "restricted-xml"),
        (M + b"a>\xf0?>\x01&lt;</message>", "unsupported-encoding"),
        (M + b"</message>\xc3\xa4<?xml '/>x>", "bad-format"),
    ],
)
def test_the_first_of_several_faults_in_a_row(octets: bytes, condition: str) -> None:
    assert fault(HEADER + octets) == condition


@pytest.mark.clause("XML-06")
def test_depth_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        return HEADER + M + b"<a>" * (depth - 1) + b"</a>" * (depth - 1) + b"</message>"

    assert isinstance(read(nested(LIMITS.max_depth))[1], Run)
    assert fault(nested(LIMITS.max_depth + 1)) == "policy-violation"
    assert fault(HEADER + M + b"<a>" * LIMITS.max_depth) == "policy-violation"


@pytest.mark.clause("XML-06")
@pytest.mark.parametrize("where", ["root", "child", "foreign"])
def test_attributes_are_bounded(where: str) -> None:
    def stanza(count: int) -> bytes:
        extra = b"".join(b" a%d=''" % i for i in range(count - (2 if where == "root" else 0)))
        if where == "root":
            return HEADER + M[:-1] + extra + b"/>"
        if where == "child":
            return HEADER + M + b"<a" + extra + b"/></message>"
        return HEADER + b"<a xmlns='u'" + extra + b"/>"

    assert len(read(stanza(LIMITS.max_attributes))) == 2
    assert not isinstance(read(stanza(LIMITS.max_attributes))[1], tuple) or where == "foreign"
    assert fault(stanza(LIMITS.max_attributes + 1)) == "policy-violation"


@pytest.mark.clause("XML-06")
def test_namespace_declarations_are_bounded_per_element() -> None:
    def stanza(count: int) -> bytes:
        extra = b"".join(b" xmlns:p%d='u'" % i for i in range(count))
        return HEADER + M + b"<a" + extra + b"/><b" + extra + b"/></message>"

    assert isinstance(read(stanza(32))[1], Run)
    assert fault(stanza(33)) == "policy-violation"


@pytest.mark.clause("XML-06")
def test_declarations_count_in_their_shortest_form() -> None:
    header = HEADER.replace(b"xmlns:db='jabber:server:dialback'", b"")
    letters = [bytes([c]) for c in b"abcdefghijklmnopqrstuvwxyzABCDEFG"]
    extra = b"".join(b" xmlns:%s='u'" % letter for letter in letters)
    stanza = b"<iq from='a' to='b' id='' type='get'%s/>" % extra
    assert fault(header + stanza) == "policy-violation"


@pytest.mark.clause("XML-06")
def test_elements_are_bounded() -> None:
    limits = Limits(10_000, 8, 8, max_elements=100)
    stanza = HEADER + M + b"<a/>" * 99 + b"<![CDATA[" + b"<" * 500 + b"]]></message>"
    assert isinstance(read(stanza, limits)[1], Run)
    assert fault(HEADER + M + b"<a/>" * 100 + b"</message>", limits) == "policy-violation"


@pytest.mark.clause("XML-06")
@pytest.mark.parametrize("filling", [b" ", b"<?xml ", b"<stream:stream a='", b"<stream:stream "])
def test_the_header_is_bounded(filling: bytes) -> None:
    octets = filling + b" " * (LIMITS.max_header_bytes - len(filling))
    assert whole(octets) == []
    assert read(octets + b" ") == [("fault", "policy-violation", None)]


@pytest.mark.clause("XML-06")
def test_namespace_declarations_of_the_header_are_bounded() -> None:
    extra = b"".join(b" xmlns:p%d='u'" % i for i in range(40))
    assert fault(HEADER[:-1] + extra + b">") == "policy-violation"
