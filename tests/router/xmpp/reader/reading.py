"""Readers for tests: one input fed in several ways, with what must be equal made comparable."""

from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

from lxml import etree

from router.xmpp import names
from router.xmpp.reader import IMPLEMENTATION, Counts, Element, Fault, Limits, Reader, Run, Token
from router.xmpp.reader.pure import Reader as PureReader

READERS: tuple[type[PureReader], ...] = (
    (PureReader,) if IMPLEMENTATION == "pure" else (Reader, PureReader)
)
"""The readers there are; the compiled one is there when the extension was built."""

LIMITS = Limits(max_stanza_bytes=10_000, max_depth=8, max_attributes=8)
HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
    b"xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' "
    b"from='a.example' to='b.example' version='1.0'>"
)
COMPONENT_HEADER = (
    b"<stream:stream xmlns='jabber:component:accept' "
    b"xmlns:stream='http://etherx.jabber.org/streams' to='a.example' xml:lang='en'>"
)


def whole(octets: bytes, limits: Limits = LIMITS, content: str = names.SERVER) -> list[Token]:
    """All at once, fast."""
    return pieces([octets], limits, content)


def pieces(
    parts: Iterable[bytes], limits: Limits = LIMITS, content: str = names.SERVER
) -> list[Token]:
    """Part by part, fast; and all readers alike, call by call."""
    readers = [reader(content, limits, careful=False) for reader in READERS]
    tokens: list[Token] = []
    for part in parts:
        more, *others = [reader.feed(part) for reader in readers]
        for other in others:
            assert comparable(other) == comparable(more)
        assert len({reader.pending() for reader in readers}) == 1
        tokens += more
    return tokens


def single(octets: bytes, limits: Limits = LIMITS, content: str = names.SERVER) -> list[Token]:
    """One octet at a time."""
    return pieces([octets[i : i + 1] for i in range(len(octets))], limits, content)


def carefully(octets: bytes, limits: Limits = LIMITS, content: str = names.SERVER) -> list[Token]:
    """All at once, but stopping behind every token as in negotiation."""
    reader = Reader(content, limits)
    tokens: list[Token] = []
    more = reader.feed(octets)
    while more:
        assert all(isinstance(token, Run) for token in more[:-1])
        tokens += more
        more = reader.feed(b"")
    return tokens


def comparable(tokens: list[Token]) -> list[Any]:
    """Adjacent runs of one pair joined, elements serialised, faults as their condition."""
    result: list[Any] = []
    for token in tokens:
        if isinstance(token, Run):
            last = result[-1] if result else None
            if isinstance(last, Run) and last.pair == token.pair:
                a, b = last.counts, token.counts
                counts = Counts(a.messages + b.messages, a.presences + b.presences, a.iqs + b.iqs)
                token = Run(token.pair, counts, result.pop().octets + token.octets)
            result.append(token)
        elif isinstance(token, Fault):
            result.append(("fault", token.error.condition, token.error.application))
        elif isinstance(token, Element):
            result.append((ElementTree.tostring(token.element), token.octets))
        else:
            result.append(token)
    return result


def read(octets: bytes, limits: Limits = LIMITS, content: str = names.SERVER) -> list[Any]:
    """What the octets give, after checking that it is the same however they come (XML-07)."""
    result = comparable(whole(octets, limits, content))
    assert comparable(single(octets, limits, content)) == result
    assert comparable(carefully(octets, limits, content)) == result
    return result


def fault(octets: bytes, limits: Limits = LIMITS, content: str = names.SERVER) -> str:
    """The condition that the octets end with."""
    last = read(octets, limits, content)[-1]
    assert isinstance(last, tuple) and last[0] == "fault", last
    return str(last[1])


def infoset(stanza: bytes, header: bytes, content: str) -> bytes:
    """What the first-level elements after `header` mean, whatever their content namespace is.

    Not C14N of libxml2, which refuses relative namespace names and compares prefixes.
    """
    closing = header[header.rindex(b"<") :].split()[0].replace(b"<", b"</") + b">"
    root = etree.fromstring(header + stanza + closing)
    out = etree.Element("all")

    def name(tag: str) -> str:
        for space in (content, names.SERVER, names.COMPONENT):
            tag = tag.replace(f"{{{space}}}", "{urn:content}")
        return tag

    def copy(source: etree._Element, parent: etree._Element) -> None:
        element = etree.SubElement(parent, name(str(source.tag)))
        for key, value in sorted(source.attrib.items()):
            element.set(name(str(key)), value)
        element.text, element.tail = source.text, source.tail
        for child in source:
            copy(child, element)

    for child in root:
        copy(child, out)
    return etree.tostring(out)
