"""One stream through the reader and through both oracles, and whether they say the same.

Accept sets must be equal, and what the reader hands on must mean, in a server's stream and in a
component's, what came in (RTE-14, RTE-15, RTE-16, STR-19, XML-07).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from router.xmpp.reader import Element, End, Fault, Faulty, Limits, Run, Token
from router.xmpp.reader.pure import Reader
from router.xmpp.stanza import cut
from tests.fuzz import oracle
from tests.fuzz.oracle import ByExpat, ByLibxml2
from tests.fuzz.oracle_rules import COMPONENT, SERVER, STREAMS, Bounds, Item, Reading
from tests.router.xmpp.reader.reading import READERS, comparable

CLOSING: Final = b"</stream:stream>"
# What `router.xmpp.writer` opens every stream with, as far as it matters to a stanza.
OUTWARD: Final = {
    content: f"<stream:stream xmlns='{content}' xmlns:stream='{STREAMS}'"
    " xmlns:db='jabber:server:dialback' xml:lang='en'>".encode()
    for content in (SERVER, COMPONENT)
}
NO_BOUNDS: Final = Bounds(1 << 24, 10_000, 10_000, 10_000, 1 << 20, 1 << 20, 1 << 20)


@dataclass(frozen=True, slots=True)
class Case:
    """A whole stream from a peer."""

    octets: bytes
    content: str = SERVER
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: how it was read, and `difference`, which should be empty."""

    difference: str
    is_accepted: bool
    stanzas: int


def check(case: Case, cuts: random.Random | None = None) -> Outcome:
    """Read the case in all ways; with `cuts` the readers get it in pieces as well."""
    expected = oracle.read(case.octets, case.content, case.bounds, ByExpat)
    other = oracle.read(case.octets, case.content, case.bounds, ByLibxml2)
    difference = ""
    if (expected.items, expected.is_accepted) != (other.items, other.is_accepted):
        difference = f"oracles: expat {_summary(expected)}, libxml2 {_summary(other)}"
    try:
        difference = difference or _judged(case, expected, [case.octets], careful=False)
        if cuts is not None and not difference:
            parts = list(pieces(case.octets, cuts))
            difference = _judged(case, expected, parts, careful=cuts.random() < 0.3)
    except Exception as error:
        difference = f"exception: {error!r}"
    return Outcome(difference, expected.is_accepted, len(expected.items))


def _judged(case: Case, expected: Reading, parts: list[bytes], *, careful: bool) -> str:
    """What a reader got wrong, or the readers say differently, call by call; or nothing."""
    told = [list(_calls(reader, case, parts, careful)) for reader in READERS]
    for others in told[1:]:
        for number, (one, other) in enumerate(zip(told[0], others, strict=True)):
            if comparable(one[0]) != comparable(other[0]) or one[1] != other[1]:
                return f"readers: call {number}: {one}, {other}"
    return compare(case, expected, [token for tokens, _ in told[0] for token in tokens])


def _calls(
    kind: type[Reader], case: Case, parts: list[bytes], careful: bool
) -> Iterator[tuple[list[Token], int]]:
    """For each part, the tokens it gives and how many octets the reader holds afterwards."""
    bounds = case.bounds
    limits = Limits(
        bounds.stanza_bytes,
        bounds.depth,
        bounds.attributes,
        bounds.namespaces,
        bounds.elements,
        bounds.header_bytes,
    )
    reader = kind(case.content, limits, careful)
    for part in parts:
        tokens: list[Token] = []
        more = reader.feed(part)
        while more:
            tokens += more
            more = reader.feed(b"") if careful else []
        yield tokens, reader.pending()


def pieces(octets: bytes, cuts: random.Random) -> Iterator[bytes]:
    """The octets in pieces of all sizes."""
    at, most = 0, cuts.choice((2, 10, 50, 50, 200, 200))
    while at < len(octets):
        size = cuts.randint(1, most)
        yield octets[at : at + size]
        at += size


def compare(case: Case, expected: Reading, tokens: list[Token]) -> str:
    """What the reader got wrong, or nothing."""
    ended = bool(tokens) and isinstance(tokens[-1], End)
    kinds: list[str] = []
    written: list[bytes] = []
    for token in tokens:
        if isinstance(token, Run):
            stanzas = [stanza.octets for stanza in cut(token.octets)]
            if len(stanzas) != token.counts.total:
                return f"{token.counts} of {len(stanzas)} stanzas"
            kinds += ["routed"] * len(stanzas)
            written += stanzas
        elif isinstance(token, Faulty):
            kinds.append("answered")
            written.append(token.octets)
        elif isinstance(token, Element):
            kinds.append("other")
    if any(isinstance(token, Fault | End) for token in tokens[:-1]):
        return "something follows the end"
    wanted = expected.items
    if ended != expected.is_accepted and not _may_refuse(case, tokens, wanted[len(kinds) :]):
        return f"accepted is {ended}, not so: {_summary(expected)}; {tokens[-1:]}"
    if kinds != [item.kind for item in wanted[: len(kinds)]]:
        return f"kinds {kinds}, not {[item.kind for item in wanted]}"
    if len(kinds) < len(wanted) and not _may_refuse(case, tokens, wanted[len(kinds) :]):
        return f"{len(kinds)} of {len(wanted)} elements; {tokens[-1:]}"
    stanzas_wanted = [item for item in wanted[: len(kinds)] if item.kind != "other"]
    return _changed(case, stanzas_wanted, written)


def _may_refuse(case: Case, tokens: list[Token], rest: list[Item]) -> bool:
    """Whether a server is free to refuse what comes next, which is well-formed.

    RFC 6120 §4.9.3.24: any first-level element that is no stanza. §13.12: a stanza that would leave
    larger than stanzas may be, its CDATA escaped.
    """
    last = tokens[-1] if tokens else None
    if not isinstance(last, Fault) or not rest:
        return False
    if last.error.condition == "policy-violation":
        return len(rest[0].canonical.encode()) > case.bounds.stanza_bytes
    return last.error.condition == "unsupported-stanza-type" and rest[0].kind == "other"


def _changed(case: Case, wanted: list[Item], written: list[bytes]) -> str:
    """What a next server or component would read otherwise."""
    for content, header in OUTWARD.items():
        document = header + b"".join(written) + CLOSING
        again = oracle.read(document, content, NO_BOUNDS, ByExpat)
        if not again.is_accepted or len(again.items) != len(wanted):
            return f"not readable in {content}: {_summary(again)} {document!r}"
        for came, leaves in zip(wanted, again.items, strict=True):
            before, after = came.canonical, leaves.canonical
            if content != case.content:
                before, after = _merged(case.content, content, before, after)
            if before != after:
                return f"{before} leaves as {after}"
    return ""


def _merged(came: str, leaves: str, before: str, after: str) -> tuple[str, str]:
    """Both canonical forms with the two content namespaces taken for one, in payloads only.

    A payload of the very namespace that is the content of the stream it leaves on becomes content.
    """
    names = [f"{{{came}}}", f"{{{leaves}}}"]
    if names[1] in before:
        names.append("{*}")
    for name in names:
        before, after = before.replace(name, "{~}"), after.replace(name, "{~}")
    return before, after


def _summary(reading: Reading) -> str:
    named = [f"{item.kind} {item.name}" for item in reading.items]
    return f"{named} {reading.reason or 'accepted'}"
