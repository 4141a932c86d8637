"""What a reader reports: frozen values, in the order they stood in the stream.

Octets of stanzas are in neutral form: root unprefixed in the content namespace without declaring
it, every other namespace declared inside, language independent of the stream header.
"""

from dataclasses import dataclass, field
from xml.etree import ElementTree as etree

from router.xmpp.errors import StanzaError, StreamError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

__all__ = [
    "Counts",
    "Element",
    "End",
    "Fault",
    "Faulty",
    "Header",
    "Limits",
    "Run",
    "Token",
    "local_name",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one stream's XML; beyond one of them is policy-violation (XEP-0205 §3)."""

    max_stanza_bytes: int
    """Raw octets of one first-level element."""
    max_depth: int
    """Nested elements, the first-level one included."""
    max_attributes: int
    """Attributes of one element, namespace declarations not counted."""
    max_namespaces: int = 32
    """Namespace declarations on one element."""
    max_elements: int = 4096
    """Elements in one first-level element, itself included."""
    max_header_bytes: int = 8192
    """Raw octets from the first one up to the end of the stream header."""


@dataclass(frozen=True, slots=True)
class Header:
    """The stream was opened (RFC 6120 §4.7). When it was opened wrongly, its Fault follows."""

    name: str
    """Clark notation."""
    attributes: dict[str, str]
    """By plain name, or Clark notation when in a namespace."""
    namespaces: dict[str, str]
    """Prefix to URI; "" is the default."""
    fault: StreamError | None = field(default=None, compare=False)
    """What is wrong with the header itself, apart from its addresses and its version."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive stanzas of one domain pair, neutral, concatenated."""

    pair: DomainPair
    counts: Counts
    octets: bytes


@dataclass(frozen=True, slots=True)
class Faulty:
    """One neutral stanza to be answered with `error` and not routed."""

    pair: DomainPair
    octets: bytes
    error: StanzaError


@dataclass(frozen=True, slots=True)
class Element:
    """A first-level element which is no stanza (XEP-0360)."""

    element: etree.Element
    octets: bytes
    """As received; prefixes may be declared on the stream header only."""


@dataclass(frozen=True, slots=True)
class End:
    """The closing tag of the stream. Nothing follows."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The peer broke the stream; nothing after this is ever parsed."""

    error: StreamError


Token = Header | Run | Faulty | Element | End | Fault


def local_name(element: etree.Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]
