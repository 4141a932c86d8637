"""What is read without expat is what expat would have read; and ordinary streams need no expat."""

import random
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as etree

import pytest

from router.xmpp import names, writer
from router.xmpp.external import SUCCESS, auth
from router.xmpp.reader import Element, End, Header, Limits, pure, split, usual
from tests.router.xmpp.reader.reading import HEADER, LIMITS, READERS, comparable

AUTH = auth("capulet.example")
BIDI = writer.bidi_request("")
NEGOTIATION = (writer.STARTTLS, writer.PROCEED, BIDI, AUTH, SUCCESS, usual.CLOSING_TAG)
STREAM = HEADER + b" ".join(NEGOTIATION)
ODD_HEADERS = (
    b"<stream:stream>",
    HEADER.replace(b"xmlns:db='", b"xmlns:xml='"),
    HEADER.replace(b"jabber:server:dialback", names.XML.encode()),
    HEADER.replace(b"jabber:server:dialback", b""),
    HEADER.replace(b"xmlns:db", b"xmlns:stream"),
    HEADER.replace(b"xmlns:db='jabber:server:dialback'", b"xml:lang='de' xml:lang='fr'"),
    HEADER.replace(b"a.example", b"a&amp;b"),
    HEADER.replace(b"a.example", "a\u00e4.example".encode()),
    HEADER.replace(b"a.example", b"a\t.example"),
    HEADER.replace(b"from=", b"to="),
    HEADER.replace(b"from=", b"db:from="),
    HEADER.replace(b"' ", b"'"),
    HEADER.replace(b"from='a.example'", b'from="it\'s" \n'),
    HEADER.replace(b"jabber:server'", b"jabber:client'"),
    HEADER.replace(b"stream:stream", b"stream:streams"),
    HEADER.replace(b"version", b"x" * 2000),
    HEADER.replace(b"'>", b"'/>"),
)
ODD_ELEMENTS = (
    AUTH.replace(b"xmlns=", b"xmlnsa="),
    AUTH.replace(b"mechanism=", b"xmlns="),
    AUTH.replace(b"EXTERNAL", b"EXT<ERNAL"),
    AUTH.replace(b"</auth>", b"</aut>"),
    AUTH.replace(b"</auth>", b"<a/></auth>"),
    AUTH.replace(names.SASL.encode(), names.SERVER.encode()),
    AUTH.replace(names.SASL.encode(), b"urn:other"),
    AUTH.replace(b"<auth", b"<auth mechanism=''"),
    writer.STARTTLS + b"</starttls>",
    writer.STARTTLS.replace(b"/>", b"></starttls>"),
    writer.STARTTLS.replace(b"/>", b"> </starttls>"),
    writer.STARTTLS.replace(b"/>", b"/ >"),
    b"<bidi/>",
    b"</stream:stream >",
    b"</stream:streams>",
    b"</db:stream>",
)


def tokens(kind: type[pure.Reader], parts: list[bytes], limits: Limits, careful: bool) -> list[Any]:
    """What the parts give and how much the reader holds after each."""
    reader, told = kind(names.SERVER, limits, careful, hears_stanzas=False), []
    for part in parts:
        found = []
        more = reader.feed(part)
        while more:
            found += more
            more = reader.feed(b"") if careful else []
        told.append((comparable(found), reader.pending()))
    reader.close()
    return told


@pytest.fixture
def by_expat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Reads as `tokens` does, with nothing known without expat."""

    def read(*arguments: Any) -> list[Any]:
        with monkeypatch.context() as patched:
            patched.setattr(usual, "header", lambda *_: None)
            patched.setattr(usual, "element", lambda *_: None)
            return tokens(*arguments)

    yield read


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("careful", [True, False])
@pytest.mark.parametrize(
    "octets",
    [
        STREAM,
        *(header + b"".join(NEGOTIATION) for header in ODD_HEADERS),
        *(HEADER + element + writer.STARTTLS + usual.CLOSING_TAG for element in ODD_ELEMENTS),
    ],
)
def test_expat_reads_the_same(
    octets: bytes, careful: bool, kind: type[pure.Reader], by_expat: Any
) -> None:
    for parts in ([octets], [octets[n : n + 1] for n in range(len(octets))]):
        assert tokens(kind, parts, LIMITS, careful) == by_expat(kind, parts, LIMITS, careful)


@pytest.mark.clause("XML-07")
@pytest.mark.parametrize("kind", READERS)
def test_expat_reads_the_same_of_what_is_nearly_usual(
    kind: type[pure.Reader], by_expat: Any
) -> None:
    chance = random.Random(20)
    pieces = [b"'", b'"', b">", b"<", b"/", b" ", b"=", b"&", b"x", b"xmlns", b":", b"\xc3", b""]
    for _ in range(600):
        octets = STREAM
        for _ in range(chance.randint(1, 2)):
            at = chance.randrange(len(octets))
            octets = octets[:at] + chance.choice(pieces) + octets[at + chance.randint(0, 2) :]
        at = chance.randrange(len(octets))
        given = kind, [octets[:at], octets[at:]], LIMITS, chance.random() < 0.7
        assert tokens(*given) == by_expat(*given), octets


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_stanza_bytes=40, max_depth=8, max_attributes=8),
        Limits(max_stanza_bytes=1000, max_depth=8, max_attributes=0),
        Limits(max_stanza_bytes=1000, max_depth=8, max_attributes=2),
        Limits(max_stanza_bytes=1000, max_depth=8, max_attributes=8, max_namespaces=2),
        Limits(max_stanza_bytes=1000, max_depth=8, max_attributes=8, max_header_bytes=100),
    ],
)
def test_limits_hold(limits: Limits, by_expat: Any) -> None:
    given = pure.Reader, [STREAM], limits, True
    assert tokens(*given) == by_expat(*given)


def test_an_ordinary_stream_needs_no_expat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three headers a stream, each with a parser of its own, were a fifth of its set-up."""
    monkeypatch.setattr(split.pyexpat, "ParserCreate", None)
    (header_token, *elements, end) = [
        token for found, _ in tokens(pure.Reader, [STREAM], LIMITS, True) for token in found
    ]
    assert header_token == Header(
        f"{{{names.STREAMS}}}stream",
        {"from": "a.example", "to": "b.example", "version": "1.0"},
        {"": names.SERVER, "stream": names.STREAMS, "db": names.DIALBACK},
    )
    assert len(elements) == len(NEGOTIATION) - 1
    assert end == End()


def test_expat_goes_on_where_something_else_comes() -> None:
    reader = pure.Reader(names.SERVER, LIMITS)
    key = b"<db:result from='a.example' to='b.example'>key</db:result>"
    assert isinstance(reader.feed(HEADER + AUTH + key + AUTH)[0], Header)
    (first,), (second,), (third,) = reader.feed(b""), reader.feed(b""), reader.feed(b"")
    assert isinstance(second, Element) and second.element.tag == f"{{{names.DIALBACK}}}result"
    assert comparable([first]) == comparable([third])
    assert reader.pending() == 0


def test_attributes_in_either_order_and_quotes() -> None:
    octets = f'<auth mechanism="EXTERNAL"\n xmlns="{names.SASL}">=</auth>'.encode()
    read = usual.element(octets + b"<", 0, len(octets) + 1, LIMITS)
    assert read is not None
    assert etree.tostring(read[0]) == etree.tostring(etree.fromstring(octets))
    assert read[1] == len(octets)
