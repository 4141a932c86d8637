"""Any octets, cut anywhere: the reader's result is one and the same, and never an exception.

Also differential: what it accepts, a strict reading by pyexpat and lxml accepts, and what leaves
means what came in.
"""

from typing import Any
from xml.parsers import expat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from router.xmpp import names
from router.xmpp.reader import End, Fault, Header, Limits, Run, Token
from tests.router.xmpp.reader.reading import (
    COMPONENT_HEADER,
    HEADER,
    LIMITS,
    carefully,
    comparable,
    infoset,
    pieces,
    single,
    whole,
)

TIGHT = Limits(160, 4, 4, max_namespaces=3, max_elements=6, max_header_bytes=400)
CLOSING = b"</stream:stream>"
MESSAGE = b"<message from='a.example' to='b.example'>"

# What the grammar of XML, and the reader, turn on.
FRAGMENTS = [
    MESSAGE,
    b"</message>",
    b"</message >",
    b"<message from='a' to='b'/>",
    b"<presence to='b' from='c'/>",
    b"<presence from='a/\x7f' to='b'/>",
    b"<iq from='a' to='b'/>",
    b"<iq from='a' to='@b' id='1' type='get'/>",
    b"<message from='a'/>",
    b"<message xmlns='jabber:server' from='a' to='b'/>",
    b"<message xmlns='jabber&#58;server' from='a' to='b'>",
    b"<s:message xmlns:s='jabber:server' from='a' to='b'/>",
    b"<message xmlns='jabber:client' from='a' to='b'/>",
    b"<db:x/>",
    b"<db:x a='",
    b"<db:result>",
    b"</db:result>",
    b"<stream:error/>",
    b"<b>",
    b"</b>",
    b"<b a='1' c=\"2\">",
    b"<b a='1' a='2'>",
    b"<b a='>' c='>'>",
    b"<b xmlns='u' xmlns:p='v'/>",
    b"<b xmlns:p='u' xmlns:q='u' xmlns:r='u' xmlns:s='u'/>",
    b"<b xmlns=''/>",
    b"<p:b/>",
    b"<b",
    b"<!-- x -->",
    b"<!--",
    b"<!",
    b"<?",
    b"<?xml version='1.0'?>",
    b"<![CDATA[",
    b"]]>",
    b"<![CDATA[ ]]>",
    b"<!DOCTYPE x>",
    b"&amp;",
    b"&foo;",
    b"&#10;",
    b"&#0;",
    b"&",
    b"<",
    b">",
    b"'",
    b'"',
    b"/",
    b"=",
    b" ",
    b"\r",
    b"\n",
    b"x",
    b"\xc3\xa4",
    b"\xf0\x9f\x98\x80",
    b"\xf0\x80",
    b"\xe3\x80",
    b"\xff",
    b"\x01",
    b"\xef\xbf\xbf",
    b"x" * 60,
    b"<b a='",
    b'<b a="',
    b"'>",
    b">>",
    b"\xf0?>",
    b"\x80",
    b"<?xml ",
    b"</message>x",
    CLOSING,
    HEADER,
]
soup = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join)
stream = st.one_of(soup.map(HEADER.__add__), soup, st.binary(max_size=40).map(HEADER.__add__))
limits = st.sampled_from([LIMITS, TIGHT])

name = st.sampled_from(["x", "y", "body", "db:x", "p:x", "message"])
value = st.text(st.sampled_from("ax&<>'\"\t\n\r:ä\U0001f600 ]"), max_size=6)
declaration = st.sampled_from(
    [
        "",
        " xmlns='u'",
        " xmlns=''",
        " xmlns='jabber:server'",
        " xmlns:db='v'",
        " xmlns='jabber&#58;server'",
    ]
)


def escaped(text: str) -> str:
    return "".join(f"&#{ord(c)};" if c in "&<>'\"\t\r\n" else c for c in text)


def element(tag: str, declared: str, key: str, text: str, inner: str) -> str:
    if tag.startswith("p:") or key.startswith("p:"):
        declared += " xmlns:p='w'"
    cdata = "<![CDATA[&<]]>" if "]" in text else ""
    return f"<{tag}{declared} {key}='{escaped(text)}'>{escaped(text)}{inner}{cdata}</{tag}>"


attribute = st.sampled_from(["a", "db:a", "p:a", "xml:lang"])
payload = st.recursive(
    st.just(""),
    lambda inner: st.lists(
        st.builds(element, name, declaration, attribute, value, inner), max_size=3
    ).map("".join),
    max_leaves=4,
)


@st.composite
def cut(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    octets = draw(stream)
    marks = sorted(draw(st.lists(st.integers(0, len(octets)), max_size=6)))
    ends = [*marks, len(octets)]
    return octets, [octets[a:b] for a, b in zip([0, *marks], ends, strict=True)]


def is_complete(tokens: list[Token]) -> bool:
    last = (Fault, End)
    return all(not isinstance(token, last) for token in tokens[:-1])


@pytest.mark.clause("XML-07")
@given(cut(), limits)
@settings(max_examples=600, deadline=None)
def test_cutting_changes_nothing(given_: tuple[bytes, list[bytes]], bounds: Limits) -> None:
    octets, parts = given_
    expected = comparable(whole(octets, bounds))
    assert comparable(pieces(parts, bounds)) == expected
    assert comparable(single(octets, bounds)) == expected
    assert comparable(carefully(octets, bounds)) == expected


@pytest.mark.clause("XML-02")
@given(st.one_of(st.binary(max_size=200), stream), limits)
@settings(max_examples=300, deadline=None)
def test_any_octets_end_in_tokens_or_one_fault(octets: bytes, bounds: Limits) -> None:
    assert is_complete(whole(octets, bounds))
    assert is_complete(carefully(octets, bounds))


@pytest.mark.clause("RTE-14", "RTE-16", "STR-19", "XML-08")
@given(payload)
@settings(max_examples=300, deadline=None)
def test_what_leaves_means_what_came(inner: str) -> None:
    stanza = MESSAGE + inner.encode() + b"</message>"
    _, run = whole(HEADER + stanza, Limits(100_000, 64, 64))
    assert isinstance(run, Run)
    given_header = HEADER.partition(b"?>")[2]
    assert infoset(run.octets, COMPONENT_HEADER, names.COMPONENT) == infoset(
        stanza, given_header, names.SERVER
    )
    again = whole(COMPONENT_HEADER + run.octets, Limits(200_000, 64, 64), names.COMPONENT)
    assert again[1:] == [run]


class _Restricted(Exception):
    """RFC 6120 §11.1 forbids it."""


def _refuse(*_: Any) -> None:
    raise _Restricted


def expat_accepts(document: bytes) -> bool:
    """Whether a plain, unhurried pyexpat accepts the whole document under RFC 6120 §11.1."""
    parser = expat.ParserCreate("UTF-8", "\x01")
    parser.CommentHandler = parser.ProcessingInstructionHandler = _refuse
    parser.StartDoctypeDeclHandler = _refuse
    try:
        document.decode()
        parser.Parse(document, True)
    except (expat.ExpatError, _Restricted, UnicodeDecodeError):
        return False
    return True


def lxml_accepts(document: bytes) -> bool:
    """The same by libxml2, which reports bad namespaces only in its log."""
    parser = etree.XMLParser(no_network=True, resolve_entities=False, recover=False)
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError:
        return False
    plain = all(isinstance(node.tag, str) for node in root.iter())
    return (
        plain
        and not root.getroottree().docinfo.doctype
        and not parser.error_log.filter_from_errors()
    )


@pytest.mark.clause("XML-01", "XML-02", "XML-03")
@given(soup.filter(lambda octets: CLOSING not in octets))
@settings(max_examples=600, deadline=None)
def test_the_reader_accepts_what_strict_parsers_accept(inner: bytes) -> None:
    """One stanza with any content: the three either all take it or all refuse it."""
    stanza = MESSAGE + inner + b"</message>"
    header = HEADER.partition(b"?>")[2]
    document = header + stanza + CLOSING
    tokens = whole(document, Limits(100_000, 64, 64))
    refused = any(isinstance(token, Fault) for token in tokens)
    if not refused and isinstance(tokens[-1], End):
        assert isinstance(tokens[0], Header)
        assert expat_accepts(document)
        assert lxml_accepts(document)
    conditions = {token.error.condition for token in tokens if isinstance(token, Fault)}
    if conditions & {"not-well-formed", "restricted-xml", "unsupported-encoding"}:
        assert not expat_accepts(document)
        assert not lxml_accepts(document)
