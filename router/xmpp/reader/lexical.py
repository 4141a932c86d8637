"""The lexical gate before and beside expat: encoding, prolog, ends of tags, what may not appear.

Pure functions over octets and offsets. They judge early what expat would judge late or not at all,
and in a way that does not depend on how the octets were cut. Called by `pure` only.
"""

import re
from dataclasses import dataclass
from pyexpat import ExpatError
from typing import Final

from router.xmpp.errors import StreamError

Octets = bytes | bytearray

SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_QUOTE_OR_END: Final = re.compile(rb"""["'>]""")
_DECLARATION: Final = re.compile(
    rb"""<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"([\w.:-]+)"|'([\w.:-]+)')"""
    rb"""(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"([\w.-]+)"|'([\w.-]+)'))?"""
    rb"""(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?"""
    rb"""[ \t\r\n]*\?>"""
)
_UNDEFINED_ENTITY: Final = 11
_NEVER_LEADS: Final = frozenset({*range(0x80, 0xC2), *range(0xF5, 0x100)})
_LESS, _BANG, _QUERY, _BRACKET = b"<!?["


def restricted(what: str) -> StreamError:
    """RFC 6120 §11.1."""
    return StreamError("restricted-xml", what)


def root_offset(octets: Octets, end: int) -> int:
    """Offset of the first tag's '<' after the XML declaration, or -1 while that is undecided.

    Looks at octets[:end]. Raises StreamError (RFC 6120 §11.1, §11.6): XML 1.0 in UTF-8 without byte
    order mark, and nothing but white space between.
    """
    if end and octets[0] in b"\xef\xfe\xff\0":
        raise StreamError("unsupported-encoding", "byte order mark")
    at = _space_end(octets, 0, end)
    if octets[at : min(at + 2, end)] == b"<?" and at == 0:
        if not b"<?xml".startswith(octets[: min(5, end)]) or (
            end > 5 and octets[5] not in b" \t\r\n"
        ):
            raise restricted("processing instruction")
        closed = octets.find(b">", 0, end)
        if closed < 0:
            return -1
        _check_declaration(octets[: closed + 1])
        at = _space_end(octets, closed + 1, end)
    if at == end:
        return -1
    if octets[at] != _LESS:
        raise _text(octets[at], "not-well-formed")
    if at + 1 == end:
        return -1
    if octets[at + 1] == 0:
        raise StreamError("unsupported-encoding", "UTF-16")
    if octets[at + 1] in b"!?":
        raise restricted("before the stream header")
    return at


def first_tag(octets: Octets, at: int, end: int) -> int:
    """Offset of the next '<' at stream level, or `end` when there is only white space (XML-04).

    Raises StreamError for text, and for markup which is no tag.
    """
    at = _space_end(octets, at, end)
    if at < end:
        if octets[at] != _LESS:
            raise _text(octets[at], "bad-format")
        if octets[at : at + 3] == b"<![" and at + 2 < end:
            raise StreamError("bad-format", "text between stanzas")
        if opens_restricted(octets, at, end):
            raise restricted("between stanzas")
    return at


def opens_restricted(octets: Octets, at: int, end: int) -> bool:
    """Whether a comment, processing instruction or declaration begins at `at`."""
    if at + 1 >= end or octets[at] != _LESS:
        return False
    second = octets[at + 1]
    if second == _QUERY:
        return True
    return second == _BANG and at + 2 < end and octets[at + 2] != _BRACKET


@dataclass(slots=True)
class TagScan:
    """Search for the '>' that ends a tag, '>' in quotes left out; resumable, so linear in all."""

    tag: int
    """Offset of the tag's '<'."""
    at: int
    quote: bytes = b""

    def find(self, octets: Octets, end: int) -> int:
        """Offset of the '>' that ends the tag, or -1 when it is not in octets[:end]."""
        while True:
            if self.quote:
                found = octets.find(self.quote, self.at, end)
                if found < 0:
                    break
                self.quote = b""
            else:
                match = _QUOTE_OR_END.search(octets, self.at, end)
                if match is None:
                    break
                found = match.start()
                if match[0] == b">":
                    return found
                self.quote = bytes(match[0])
            self.at = found + 1
        self.at = max(self.at, end)
        return -1


def token_at(octets: Octets, start: int, wanted: int, end: int, in_cdata: bool) -> int:
    """Offset where the token around `wanted` begins; -1 inside a CDATA section.

    `start` is where a token begins, or inside a CDATA section; everything before the wanted token
    must be well-formed. Markup that is restricted is always the wanted token: it goes no further.
    """
    at = start
    while True:
        if in_cdata or octets.startswith(b"<![CDATA[", at):
            after = octets.find(b"]]>", at, end) + 3
            if after < 3 or after > wanted:
                return -1
            in_cdata = False
        elif octets[at] == _LESS:
            if opens_restricted(octets, at, end):
                return at
            after = TagScan(at, at + 1).find(octets, end) + 1
            if not after or after > wanted:
                return at
        else:
            after = octets.find(b"<", at, end)
            if after < 0 or after > wanted:
                return at
        at = after


def character_bytes(octets: Octets, at: int) -> int:
    """How long the UTF-8 sequence at `at` means to be, 1 to 4."""
    lead = octets[at]
    return 1 if lead < 0xC2 or lead > 0xF4 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


def is_utf8_at(octets: Octets, at: int) -> bool:
    """Whether a valid UTF-8 sequence stands at `at` (RFC 3629)."""
    try:
        octets[at : at + character_bytes(octets, at)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _space_end(octets: Octets, at: int, end: int) -> int:
    match = SPACE.match(octets, at, end)
    return match.end() if match else at


def _text(octet: int, condition: str) -> StreamError:
    if octet in _NEVER_LEADS:
        return StreamError("unsupported-encoding", "not UTF-8")
    return StreamError(condition, "text at stream level")


def _check_declaration(octets: Octets) -> None:
    match = _DECLARATION.fullmatch(octets)
    if match is None:
        raise StreamError("not-well-formed", "XML declaration")
    version, encoding = match[1] or match[2], match[3] or match[4]
    if version != b"1.0":
        raise StreamError("not-well-formed", "XML version")
    if encoding is not None and encoding.lower() != b"utf-8":
        raise StreamError("unsupported-encoding", "declared encoding")


def fault_of(complaint: ExpatError, octets: Octets, at: int) -> StreamError:
    """XML-01, XML-02, XML-03: which of the three expat's complaint about octets[at] is."""
    if complaint.code == _UNDEFINED_ENTITY:
        return restricted("entity")
    if at < len(octets) and not is_utf8_at(octets, at):
        return StreamError("unsupported-encoding", "not UTF-8")
    return StreamError("not-well-formed", str(complaint)[:100])
