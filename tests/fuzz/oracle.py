"""Two readings of a stream by RFC 6120 that share no line with the router: pyexpat's and libxml2's.

Each gets one '>' at a time, so that a fault has a place; `oracle_rules` has what the standards say
around a parser. Slow and plain on purpose. Called by `differential`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from xml.parsers import expat

from lxml import etree

from tests.fuzz.oracle_rules import Bounds, Ended, Reading, Refused, Rules, escaped, opening, spoken

# XML 1.0 §2.8 XMLDecl; RFC 6120 §11.5, §11.6: version 1.0, UTF-8
XML_DECLARATION = re.compile(
    rb"""<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:'1\.0'|"1\.0")"""
    rb"""(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:'(?i:utf-8)'|"(?i:utf-8)"))?"""
    rb"""(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:'(?:yes|no)'|"(?:yes|no)"))?"""
    rb"""[ \t\r\n]*\?>"""
)
XML_DECLARED = re.compile(rb"\sxmlns:xml\s*=")
# Namespaces in XML 1.0 has no constraint on what a namespace name looks like; libxml2 complains.
# Nor has XML on the values of xml:id, which is a specification of its own.
NO_FAULT = {
    etree.ErrorTypes.WAR_NS_URI,
    etree.ErrorTypes.WAR_NS_URI_RELATIVE,
    etree.ErrorTypes.DTD_XMLID_VALUE,
    etree.ErrorTypes.DTD_ID_REDEFINED,
}


class ByExpat:
    """Pieces through pyexpat, which knows namespaces but not RFC 6120 §11.1."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.out: list[str] = []
        self.payload_at = 0
        """The depth at which another namespace began, or 0."""
        self.declared: list[str] = []
        self.inherited: dict[str, str] = {}
        parser = self.parser = expat.ParserCreate("UTF-8", "\f", {})
        parser.namespace_prefixes = True
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartNamespaceDeclHandler = self._declare
        parser.CommentHandler = parser.ProcessingInstructionHandler = self._restricted
        parser.StartDoctypeDeclHandler = self._restricted

    def feed(self, octets: bytes) -> None:
        try:
            self.parser.Parse(octets, False)
        except expat.ExpatError as error:
            raise Refused(str(error)) from None

    def _restricted(self, *_: Any) -> None:
        raise Refused("restricted XML")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self.declared.append(prefix or "")
        if self.rules.depth == 0:
            self.inherited[prefix or ""] = uri or ""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, local, prefix = _triple(name)
        expanded = {_expanded(key): value for key, value in attributes.items()}
        self.rules.start(space, local, prefix, expanded, len(self.declared))
        self.declared = []
        if self.rules.depth == 1:
            self.rules.header_read(self.inherited)
        else:
            if self.rules.depth == 2:
                expanded = spoken(expanded, self.rules.language)
            if space != self.rules.content and not self.payload_at:
                self.payload_at = self.rules.depth
            shown = space if self.payload_at else "*"
            self.out.append(opening(f"{{{shown}}}{local}", expanded))

    def _text(self, text: str) -> None:
        self.out.append(escaped(text))

    def _end(self, name: str) -> None:
        if self.payload_at == self.rules.depth:
            self.payload_at = 0
        self.rules.depth -= 1
        if self.rules.depth == 0:
            raise Ended
        self.out.append("</>")
        if self.rules.depth == 1:
            whole, self.out = "".join(self.out).lstrip(), []
            self.rules.finish(whole)


def _triple(name: str) -> tuple[str, str, str]:
    parts = name.split("\f")
    if len(parts) == 1:
        return "", name, ""
    return parts[0], parts[1], parts[2] if len(parts) > 2 else ""


def _expanded(name: str) -> str:
    space, local, _ = _triple(name)
    return f"{{{space}}}{local}" if space else local


class ByLibxml2:
    """The same through lxml: its log tells what it does not raise, see the notes at `Refused`s."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.declared = 0
        self.parser = etree.XMLPullParser(
            ("start-ns", "start", "end", "comment", "pi"),
            encoding="utf-8",
            no_network=True,
            resolve_entities=False,
            huge_tree=False,
        )

    def feed(self, octets: bytes) -> None:
        try:
            self.parser.feed(octets)
        except etree.XMLSyntaxError as error:
            raise Refused(str(error)) from None
        # It goes on after names without a namespace, and begins a new document after other faults.
        for entry in self.parser.feed_error_log.filter_from_errors():
            if entry.type not in NO_FAULT:
                raise Refused(entry.message)
        # Declaring `xml` as what it is makes no event.
        self.declared += len(XML_DECLARED.findall(octets, octets.rfind(b"<")))
        for event, node in self.parser.read_events():
            if event == "start-ns":
                _check_name(node[0])
                self.declared += 1
            elif event == "start":
                self._start(node)
            elif event == "end":
                self._end(node)
            else:
                raise Refused("restricted XML")

    def _start(self, node: Any) -> None:
        # a namespace name may contain a '}', a local name may not
        space, _, local = node.tag.removeprefix("{").rpartition("}")
        for each in (node.tag, *node.attrib):
            _check_name(each.rpartition("}")[2])
        self.rules.start(space, local, node.prefix or "", dict(node.attrib.items()), self.declared)
        self.declared = 0
        if self.rules.depth == 1:
            if node.getroottree().docinfo.doctype:
                raise Refused("restricted XML")
            self.rules.header_read({prefix or "": space for prefix, space in node.nsmap.items()})

    def _end(self, node: Any) -> None:
        self.rules.depth -= 1
        if self.rules.depth == 0:
            raise Ended
        if self.rules.depth == 1:
            self.rules.finish(canonical(node, self.rules.content, self.rules.language))
            node.getparent().remove(node)


def canonical(node: Any, content: str, language: str = "") -> str:
    """The canonical form of a tree, as `ByExpat` puts it together on its way.

    `content` is the content namespace, or nothing within a payload.
    """
    space, _, local = node.tag.removeprefix("{").rpartition("}")
    is_own = bool(content) and space == content
    inner_content = content if is_own else ""
    name = f"{{{'*' if is_own else space}}}{local}"
    inner = "".join(canonical(each, inner_content) + escaped(each.tail or "") for each in node)
    attributes = spoken(dict(node.attrib.items()), language)
    return f"{opening(name, attributes)}{escaped(node.text or '')}{inner}</>"


@lru_cache(maxsize=4096)
def _check_name(local: str) -> None:
    """XML 1.0 up to its 4th edition: every server that reads by expat knows only those names."""
    if not local.isascii():
        try:
            expat.ParserCreate().Parse(f"<{local}/>", True)
        except expat.ExpatError:
            raise Refused("name of the 5th edition") from None


def read(
    octets: bytes, content: str, bounds: Bounds, by: type[ByExpat] | type[ByLibxml2]
) -> Reading:
    """What a server may do with the octets of a whole stream."""
    rules = Rules(content, bounds)
    reading = rules.reading
    try:
        begin, valid = _gate(octets)
        parser = by(rules)
        for piece, end in _pieces(octets, begin, valid):
            rules.piece(piece, end)
            parser.feed(piece)
        if valid < len(octets):
            raise Refused("not UTF-8")
    except Refused as refusal:
        reading.reason = str(refusal)
    except Ended:
        reading.is_accepted, reading.reason = True, ""
    return reading


def _gate(octets: bytes) -> tuple[int, int]:
    """Where the document begins behind its declaration, and where valid UTF-8 ends (§11.6)."""
    try:
        octets.decode("utf-8", "strict")
        valid = len(octets)
    except UnicodeDecodeError as error:
        valid = error.start
    if octets.startswith(b"<?"):
        declaration = XML_DECLARATION.match(octets, 0, valid)
        if declaration is None:
            raise Refused("XML declaration")
        return declaration.end(), valid
    return 0, valid


def _pieces(octets: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int]]:
    while begin < end:
        after = octets.find(b">", begin, end) + 1 or end
        yield octets[begin:after], after
        begin = after
