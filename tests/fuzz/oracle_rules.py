"""What RFC 6120 and the namespaces of XML say around a parser, and the canonical form of a stanza.

Independent of the router and of either parser. Called by `oracle`.
"""

import re
from dataclasses import dataclass, field

from tests.fuzz import oracle_address

STREAMS = "http://etherx.jabber.org/streams"
SERVER, CLIENT, COMPONENT = "jabber:server", "jabber:client", "jabber:component:accept"
STANZAS = ("message", "presence", "iq")
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
SPACE = b" \t\r\n"
# RFC 5646 §2.1, in the length of its §4.4.1; anything else names no language to pass on
LANGUAGE = re.compile(r"(?=.{1,64}\Z)[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")


class Refused(Exception):
    """Why the stream ends here."""


class Ended(Exception):
    """The closing tag of the stream."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one stream, in octets and numbers; what they bound is in `Rules`."""

    stanza_bytes: int = 100_000
    depth: int = 64
    attributes: int = 64
    namespaces: int = 32
    elements: int = 4096
    header_bytes: int = 8192
    header_declared: int = 1024
    """Characters of prefixes and namespace names on the header."""


@dataclass(frozen=True, slots=True)
class Item:
    """One first-level element: what it is for a router, its expanded name, its canonical form."""

    kind: str
    """routed, answered (an error comes back), or other (no stanza)."""
    name: str
    canonical: str


@dataclass(slots=True)
class Reading:
    """What came before the end or the fault."""

    items: list[Item] = field(default_factory=list)
    is_accepted: bool = False
    """The stream was read up to its closing tag."""
    reason: str = "unfinished"


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def spoken(attributes: dict[str, str], language: str) -> dict[str, str]:
    """The attributes of a stanza's root outside of its stream (§4.7.4); `en` goes unsaid there."""
    if language.lower() == "en" or not LANGUAGE.fullmatch(language) or LANG in attributes:
        return attributes
    return {**attributes, LANG: language}


def opening(name: str, attributes: dict[str, str]) -> str:
    """The canonical form of a start tag: expanded names, attributes in their order.

    The content namespace is "*" in a stanza's own elements, and has its name within a payload of
    another namespace, which is nobody's to re-scope (§4.8.3).
    """
    flat = "".join(f' {escaped(k)}="{escaped(v)}"' for k, v in sorted(attributes.items()))
    return f"<{escaped(name)}{flat}>"


class Rules:
    """RFC 6120 around a parser. Positions are of the octets given so far, up to a '>' each."""

    def __init__(self, content: str, bounds: Bounds) -> None:
        self.content, self.bounds = content, bounds
        self.reading = Reading()
        self.depth = 0
        self.elements = 0
        self.language = ""
        """The xml:lang of the header."""
        self.begin: int | None = None
        self.root: tuple[str, str, str, dict[str, str]] = ("", "", "", {})
        self.end = 0

    def piece(self, octets: bytes, end: int) -> None:
        """The parser is about to see these octets, which end at offset `end`."""
        if self.begin is None and (body := octets.lstrip(SPACE)):
            # §11.7: white space between first-level elements, and nothing else
            if not body.startswith(b"<") or body[1:2] in (b"!", b"?"):
                raise Refused("text or restricted XML at stream level")
            self.begin = end - len(body)
        if self.begin is not None and self.depth > 0:
            self._at_most(end - self.begin, self.bounds.stanza_bytes, "octets")
        elif self.begin is not None:
            self._at_most(end, self.bounds.header_bytes, "octets of header")
        self.end = end

    def start(
        self, space: str, local: str, prefix: str, attributes: dict[str, str], namespaces: int
    ) -> None:
        self.depth += 1
        self._at_most(len(attributes), self.bounds.attributes, "attributes")
        self._at_most(namespaces, self.bounds.namespaces, "namespace declarations")
        self._at_most(self.depth - 1, self.bounds.depth, "levels")
        if self.depth == 1:
            # §4.8.1
            if (space, local) != (STREAMS, "stream"):
                raise Refused("stream header")
            self.language = attributes.get(LANG, "")
        elif self.depth == 2:
            if (space, local) == (STREAMS, "stream"):
                raise Refused("a second stream header")
            self.elements = 0
            self.root = space, local, prefix, attributes
        self.elements += 1
        if self.depth > 1:
            self._at_most(self.elements, self.bounds.elements, "elements")

    def header_read(self, declared: dict[str, str]) -> None:
        """§4.8.2: the default namespace of the stream is the content namespace, or that of none."""
        characters = sum(len(prefix) + len(space) for prefix, space in declared.items())
        self._at_most(characters, self.bounds.header_declared, "characters declared")
        default = declared.get("", "")
        if default not in ("", self.content, STREAMS):
            raise Refused("content namespace")
        self.begin = None

    def finish(self, canonical: str) -> None:
        """A first-level element has ended."""
        space, local, prefix, attributes = self.root
        self.begin = None
        kind = self._kind(space, local, prefix, attributes)
        self.reading.items.append(Item(kind, f"{{{space}}}{local}", canonical))

    def _kind(self, space: str, local: str, prefix: str, attributes: dict[str, str]) -> str:
        if space != self.content:
            if local in STANZAS and space in (SERVER, CLIENT, COMPONENT, STREAMS, ""):
                raise Refused("stanza in another namespace")  # §4.8.3
            return "other"
        if local == "handshake" and space == COMPONENT:
            return "other"
        if local not in STANZAS:
            raise Refused("unknown element in the content namespace")
        if prefix:
            raise Refused("stanza with a prefix")  # §4.8.5
        sender, target = (
            oracle_address.judge(attributes.get("from", "")),
            oracle_address.judge(attributes.get("to", "")),
        )
        if sender != oracle_address.GOOD or target == oracle_address.NOBODY:
            raise Refused("address")
        if target == oracle_address.BAD_PART:
            return "answered"
        typed = attributes.get("type")
        if local == "iq" and ("id" not in attributes or typed not in IQ_TYPES):
            return "answered"
        return "routed"

    def _at_most(self, found: int, bound: int, what: str) -> None:
        if found > bound:
            raise Refused(f"{found} {what}")


IQ_TYPES = ("get", "set", "result", "error")
