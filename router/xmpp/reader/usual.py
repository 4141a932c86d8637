"""What streams are usually opened and negotiated with, recognised without a parser.

A stream has up to three headers, and most need expat neither for them nor for what follows up to
the first stanza. Only spellings that can mean one thing are known here; whatever else comes, right
or wrong, is expat's to read from its first octet. Called by `pure`, which reports the same by both.
"""

import re
from functools import lru_cache
from typing import Final
from xml.etree import ElementTree as etree

from router.xmpp import names
from router.xmpp.reader.lexical import Octets
from router.xmpp.reader.tokens import Header, Limits

CLOSING_TAG: Final = b"</stream:stream>"
"""Of every stream whose header is known here."""

# Printable ASCII without what begins a reference or a tag, or ends a value.
_VALUE: Final = rb"[ !#-%(-;=?-~]*"
_NAME: Final = rb"(xmlns:[a-z]+|xml:lang|[a-z]+)"
_ATTRIBUTE: Final = rb"[ \t\r\n]+%b=(?:'(%b)'|\"(%b)\")" % (_NAME, _VALUE, _VALUE)
_ATTRIBUTES: Final = re.compile(_ATTRIBUTE)
_HEADER: Final = re.compile(rb"<stream:stream(?:%b){1,16}+[ \t\r\n]*>" % _ATTRIBUTE)
_ELEMENT: Final = re.compile(
    rb"<(starttls|proceed|auth|success|bidi)"
    rb"((?:[ \t\r\n]+(?:xmlns|mechanism)=(?:'%b'|\"%b\")){1,2}+)"
    rb"(?:/>|>([\w+/=]{0,2048})</\1>)" % (_VALUE, _VALUE)
)
_MOST_BYTES: Final = 1024
_NAMESPACES: Final = frozenset({names.TLS, names.SASL, names.BIDI})
_RESERVED_PREFIXES: Final = frozenset({"xml", "xmlns"})
_RESERVED: Final = "http://www.w3.org/"  # what stands for xml and xmlns, no other prefix may


def header(octets: bytes, content: str, limits: Limits, most_lent_chars: int) -> Header | None:
    """The header that this tag is, in a stream of this content namespace; None when in doubt.

    `most_lent_chars` bounds the prefixes and namespaces that it declares, together.
    """
    read = _header(octets) if len(octets) <= _MOST_BYTES else None
    if read is None or read.namespaces.get("") != content:
        return None
    lent_chars = sum(len(prefix) + len(uri) for prefix, uri in read.namespaces.items())
    is_usual = (
        len(read.attributes) <= limits.max_attributes
        and len(read.namespaces) <= limits.max_namespaces
        and lent_chars <= most_lent_chars
    )
    return read if is_usual else None


@lru_cache(maxsize=64)  # a server says the same before TLS, in it, and after SASL
def _header(octets: bytes) -> Header | None:
    if _HEADER.fullmatch(octets) is None:
        return None
    attributes: dict[str, str] = {}
    namespaces: dict[str, str] = {}
    found = _ATTRIBUTES.findall(octets)
    for name_octets, single, double in found:
        name, value = name_octets.decode(), (single or double).decode()
        prefix, colon, local = name.partition(":")
        if prefix != "xmlns":
            attributes[f"{{{names.XML}}}{local}" if colon else name] = value
        elif not value or local in _RESERVED_PREFIXES or value.startswith(_RESERVED):
            return None
        else:
            namespaces[local] = value
    is_ambiguous = len(attributes) + len(namespaces) < len(found)
    if is_ambiguous or namespaces.get("stream") != names.STREAMS:
        return None
    return Header(f"{{{names.STREAMS}}}stream", attributes, namespaces)


def element(octets: Octets, at: int, end: int, limits: Limits) -> tuple[etree.Element, int] | None:
    """The element of a negotiation that begins at `at`, and where it ends, if that is before `end`.

    None when in doubt, and when it is not all there.
    """
    found = _ELEMENT.match(octets, at, end)
    if found is None or not (limits.max_attributes and limits.max_namespaces):
        return None
    name, tag, text = found.groups()
    given = _ATTRIBUTES.findall(tag)
    attributes = {key.decode(): (single or double).decode() for key, single, double in given}
    namespace = attributes.pop("xmlns", "")
    if namespace not in _NAMESPACES or len(attributes) != len(given) - 1:
        return None
    read = etree.Element(f"{{{namespace}}}{name.decode()}", attributes)
    read.text = text.decode() if text else None
    return read, found.end()
