"""Where the octets of one token stand in a stream, and for whom they are.

`split` makes spans while expat runs; `pure` turns those that are finished into tokens.
"""

from pyexpat import XMLParserType
from typing import NamedTuple

from router.xmpp.errors import StanzaError, StreamError


class Span:
    """Octets of one or more adjacent first-level elements that make one token."""

    __slots__ = (
        "begin",
        "ends",
        "error",
        "fault",
        "is_stanza",
        "kinds",
        "lacking",
        "sender",
        "shared",
        "target",
    )

    def __init__(self, begin: int, sender: str, target: str, shared: bool) -> None:
        self.begin = begin
        self.ends: list[int] = []
        self.kinds: list[int] = []
        """Of the stanzas which are no messages."""
        self.sender = sender
        self.target = target
        self.shared = shared
        self.is_stanza = True
        self.lacking: dict[str, str] = {}
        """Addresses that its only stanza leaves out, and that it is given."""
        self.error: StanzaError | None = None
        self.fault: StreamError | None = None
        """What the element costs, once it is complete."""


class Stop(Exception):
    """Leaves expat from a handler: a fault was found, or the stream has ended."""


class Size(NamedTuple):
    """Of one first-level element."""

    most_namespaces: int
    """The most namespace declarations on one element."""
    elements: int


def measured(parser: XMLParserType, octets: bytes | bytearray) -> Size:
    """The size of the element that these octets are, by a parser that has read the header alone."""
    declared = most = elements = 0

    def declaration(_: str | None, __: str | None) -> None:
        nonlocal declared, most
        declared += 1
        most = max(most, declared)

    def element(_: str, __: dict[str, str]) -> None:
        nonlocal declared, elements
        declared = 0
        elements += 1

    parser.StartNamespaceDeclHandler = declaration
    parser.StartElementHandler = element
    parser.Parse(octets, False)
    return Size(most, elements)
