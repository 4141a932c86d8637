"""Stanzas as the program carries them: neutral octets, counted by kind, cut only to come back.

Neutral form: unprefixed message, presence or iq without an xmlns of its own, self-contained; it
means the same in any stream whose content namespace is the default (RFC 6120 §4.8.3).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from router.xmpp import names
from router.xmpp.errors import StanzaError

KINDS: Final = ("message", "presence", "iq")
_ERRORS_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Counts:
    """How many stanzas of each kind a run holds."""

    messages: int
    presences: int
    iqs: int

    @property
    def total(self) -> int:
        """Stanzas of all kinds."""
        return self.messages + self.presences + self.iqs

    @classmethod
    def one(cls, kind: str) -> "Counts":
        """A single stanza of this kind."""
        return cls(int(kind == "message"), int(kind == "presence"), int(kind == "iq"))

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.messages + other.messages, self.presences + other.presences, self.iqs + other.iqs
        )


@dataclass(frozen=True, slots=True)
class Stanza:
    """One stanza cut out of a run: its kind, root attributes, and octets."""

    kind: str
    attributes: dict[str, str]
    octets: bytes


def cut(octets: bytes) -> Iterator[Stanza]:
    """The stanzas of a neutral run, one by one, in order. The octets have been validated before."""
    parser = expat.ParserCreate("UTF-8")
    prefix = b"<r>"
    roots: list[tuple[int, str, dict[str, str]]] = []
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth == 2:
            roots.append((parser.CurrentByteIndex - len(prefix), name, attributes))

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.Parse(prefix + octets + b"</r>", True)
    # They know the parser, and it them: left to the collector, thousands are freed at one stroke.
    parser.StartElementHandler = parser.EndElementHandler = None
    ends = [root[0] for root in roots[1:]] + [len(octets)]
    for (begin, name, attributes), stop in zip(roots, ends, strict=True):
        yield Stanza(name, attributes, octets[begin:stop])


def may_bounce(stanza: Stanza) -> bool:
    """Whether an error may answer it: never an error, never an iq result (RFC 6120 §8.3.1)."""
    kind_of = stanza.attributes.get("type")
    return kind_of != "error" and not (stanza.kind == "iq" and kind_of == "result")


def bounce(stanza: Stanza, error: StanzaError) -> bytes:
    """The error stanza that answers this one: kind and id kept, addresses swapped, no payload.

    RFC 6120 §8.3.1, §8.3.2.
    """
    given = stanza.attributes
    wanted = {
        "from": given.get("to"),
        "to": given.get("from"),
        "id": given.get("id"),
        "type": "error",
    }
    attributes = "".join(f" {k}={quoteattr(v)}" for k, v in wanted.items() if v is not None)
    return f"<{stanza.kind}{attributes}>{error_element(error)}</{stanza.kind}>".encode()


def result(stanza: Stanza, payload: str = "") -> bytes:
    """The result that answers this request, which has both addresses and an id (RFC 6120 §8.2.3).

    `payload` is one element that declares its own namespace, or nothing.
    """
    given = stanza.attributes
    back = {"from": given["to"], "to": given["from"], "id": given["id"], "type": "result"}
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in back.items())
    return f"<iq{attributes}>{payload}</iq>".encode()


@lru_cache(_ERRORS_KEPT)
def error_element(error: StanzaError) -> str:
    """`<error type=…>` with its conditions and text, in the namespace of its surroundings."""
    text = f"<text xmlns='{names.STANZA_ERRORS}'>{escape(error.text)}</text>" if error.text else ""
    own = "<{1} xmlns='{0}'/>".format(*error.application) if error.application else ""
    return (
        f"<error type='{error.type}'>"
        f"<{error.condition} xmlns='{names.STANZA_ERRORS}'/>{text}{own}</error>"
    )
