"""Stanzas into neutral form (RTE-14, RTE-15, RTE-16, STR-19): verbatim when proved self-contained.

`Neutral` knows what one stream's header declared and decides stanza by stanza; `_Rewriter` rebuilds
the rest on a second pass of expat, without namespaces, so that names stay as the sender wrote them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pyexpat import ParserCreate
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from router.xmpp import names
from router.xmpp.errors import StreamError
from router.xmpp.reader.tokens import Header

_TEXT: Final = {"\r": "&#13;"}
_NAME_END: Final = re.compile(rb"[\s/>]")
_XML_LANG: Final = "xml:lang"
_CLARK_LANG: Final = f"{{{names.XML}}}lang"
# RFC 5646 §2.1, §4.4.1: what every stanza of a stream may have to carry is short.
_LANGUAGE: Final = re.compile(r"(?=.{1,64}\Z)[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")


class Neutral:
    """What of one stream's header its stanzas may depend on, and how to free them of it."""

    def __init__(self, content: str, namespaces: Mapping[str, str], language: str | None) -> None:
        self._content = content
        self._namespaces = namespaces
        is_other = language and language.lower() != "en" and _LANGUAGE.fullmatch(language)
        self._language = language if is_other else None
        prefixes = [p.encode() for p in namespaces if p not in ("", "xml")]
        self._needles = (content.encode(), *(p + b":" for p in prefixes))
        literal = rb"|<!\[|" + re.escape(content.encode())
        used = rb"|".join(map(re.escape, prefixes))
        self._doubtful = re.compile(
            rb"[<\s/](?:" + used + rb"):" + literal if used else literal[1:]
        )
        self._always = namespaces.get("", "") != content

    def needles(self) -> tuple[bytes, ...] | None:
        """What a stanza must not contain to be neutral as it is; None where none can be."""
        return None if self._always or self._language else self._needles

    def is_neutral(self, octets: bytes) -> bool:
        """Whether these stanzas may be forwarded byte for byte. False also when in doubt."""
        if self._always or self._language or b"<![" in octets:
            return False
        for needle in self._needles:
            if needle in octets:
                return False
        return not (b"&" in octets and _hides_namespace(octets))

    def rewrite(self, octets: bytes) -> bytes:
        """One stanza, valid in its stream, in neutral form; verbatim when that is the same.

        Raises StreamError bad-namespace-prefix when its root has a prefix (STR-11).
        """
        if not (self._always or self._doubtful.search(octets) or _hides_namespace(octets)):
            if not self._language:
                return octets
            # no tag ends before the next '<', which cannot stand in an attribute value
            if b"xml:lang" not in octets[: octets.find(b"<", 1)]:
                return with_attributes(octets, {_XML_LANG: self._language})
        lent = {p: u for p, u in self._namespaces.items() if p and f"{p}:".encode() in octets}
        lent.pop("xml", None)
        default = self._namespaces.get("", "")
        return _Rewriter(self._content, default, lent, self._language).rewrite(octets)

    def wrap(self, octets: bytes) -> bytes:
        """A document whose only element's only child is this element, in the header's context."""
        declared = "".join(
            f" xmlns{':' if prefix else ''}{prefix}={quoteattr(uri)}"
            for prefix, uri in self._namespaces.items()
            if prefix != "xml"
        )
        return f"<stream{declared}>".encode() + octets + b"</stream>"


def neutral_under(content: str, header: Header) -> Neutral:
    """The `Neutral` of a stream with this content namespace and header."""
    return _neutral(content, tuple(header.namespaces.items()), header.attributes.get(_CLARK_LANG))


@lru_cache(maxsize=64)  # a server's streams have the same header, but for the addresses
def _neutral(
    content: str, namespaces: tuple[tuple[str, str], ...], language: str | None
) -> Neutral:
    return Neutral(content, dict(namespaces), language)


def with_attributes(octets: bytes, given: Mapping[str, str]) -> bytes:
    """An element with these attributes besides its own, which are others."""
    named = _NAME_END.search(octets)
    assert named is not None
    at = named.start()
    added = "".join(f" {name}={quoteattr(value)}" for name, value in given.items())
    return octets[:at] + added.encode() + octets[at:]


def _hides_namespace(octets: bytes) -> bool:
    """Whether a namespace declaration may be spelled with character references."""
    if b"&#" not in octets or b"xmlns" not in octets:
        return False
    # a tag ends at the latest with the last '>' before the next '<'
    tags = (part[: part.rfind(b">")] for part in octets.split(b"<"))
    return any(b"&#" in tag and b"xmlns" in tag for tag in tags)


class _Rewriter:
    """Writes a stanza anew: default declarations where needed, prefix declarations as they were."""

    def __init__(
        self, content: str, default: str, lent: dict[str, str], language: str | None
    ) -> None:
        self._content = content
        self._lent = lent
        self._language = language
        # per open element: prefixes in scope, default written so far (None: the stream's), name
        self._scopes: list[tuple[dict[str, str], str | None, str]] = [
            ({"": default, "xml": names.XML, **lent}, None, "")
        ]
        self._out: list[str] = []
        self._is_open = False

    def rewrite(self, octets: bytes) -> bytes:
        parser = ParserCreate("UTF-8")
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(octets, True)
        return "".join(self._out).encode()

    def _start(self, name: str, flat: list[str]) -> None:
        self._close_tag()
        bound, written, _ = self._scopes[-1]
        attributes = list(zip(flat[::2], flat[1::2], strict=True))
        declared = {k[6:]: v for k, v in attributes if k == "xmlns" or k.startswith("xmlns:")}
        is_root = len(self._scopes) == 1
        bound = {**bound, **declared}
        prefix, colon, local = name.rpartition(":")
        namespace = bound[prefix]
        if is_root and colon:
            raise StreamError("bad-namespace-prefix", "stanza with a prefix")
        if namespace == self._content and written is None:
            name, colon = local, ""
        elif not colon and namespace != written:
            written = namespace
            declared[""] = namespace
        kept = {p: u for p, u in declared.items() if p}
        if is_root:
            kept = {**self._lent, **kept}
        self._out.append(f"<{name}")
        if written is not None and written != self._scopes[-1][1]:
            self._attribute("xmlns", written)
        for declared_prefix, uri in kept.items():
            self._attribute(f"xmlns:{declared_prefix}", uri)
        for key, value in attributes:
            if key != "xmlns" and not key.startswith("xmlns:"):
                self._attribute(key, value)
        if is_root and self._language and _XML_LANG not in flat[::2]:
            self._attribute(_XML_LANG, self._language)
        self._scopes.append((bound, written, name))
        self._is_open = True

    def _attribute(self, key: str, value: str) -> None:
        self._out.append(f" {key}={quoteattr(value)}")

    def _close_tag(self) -> None:
        if self._is_open:
            self._out.append(">")
            self._is_open = False

    def _text(self, text: str) -> None:
        self._close_tag()
        self._out.append(escape(text, _TEXT))

    def _end(self, _: str) -> None:
        name = self._scopes.pop()[2]
        self._out.append("/>" if self._is_open else f"</{name}>")
        self._is_open = False
