"""Octets into a stream's header, its elements and its end, leniently, by expat. No judgement here.

An element keeps its own octets and its literal prefixes: some servers compare those.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

_SEPARATOR: Final = "\n"


@dataclass(slots=True)
class Element:
    """An XML element. `octets` are what came, and only those of a top-level element are kept."""

    namespace: str
    name: str
    prefix: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""
    octets: str = ""

    def find(self, name: str, namespace: str | None = None) -> "Element | None":
        """The first child of this name, in any namespace or in this one."""
        for child in self.children:
            if child.name == name and namespace in (None, child.namespace):
                return child
        return None

    def get(self, attribute: str) -> str:
        """An attribute, "" when it is absent."""
        return self.attributes.get(attribute, "")


@dataclass(frozen=True, slots=True)
class Header:
    """A stream's opening tag."""

    attributes: dict[str, str]
    octets: str


@dataclass(frozen=True, slots=True)
class End:
    """A stream's closing tag, or what no parser reads any further (`fault` says why)."""

    fault: str = ""


Item = Header | Element | End


class Reader:
    """One XML stream; a restart wants a new one."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self._parser.namespace_prefixes = True
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._kept = b""
        self._first = 0  # the place of `_kept` in all that was fed
        self._begun = 0
        self._open: list[Element] = []
        self._has_header = False
        self._is_empty_tag = False
        self._items: list[Item] = []

    def feed(self, octets: bytes) -> Iterator[Item]:
        """What these octets complete, in order; nothing after an `End`."""
        self._kept += octets
        try:
            self._parser.Parse(octets)
        except expat.ExpatError as error:
            self._items.append(End(str(error)))
        items, self._items = self._items, []
        yield from items

    @property
    def unread_bytes(self) -> int:
        """How much there is of an element that is not complete."""
        return len(self._kept)

    def _start(self, name: str, given: dict[str, str]) -> None:
        at = self._parser.CurrentByteIndex - self._first
        namespace, local, prefix = _parts(name)
        attributes = {_parts(key)[1]: value for key, value in given.items()}
        if not self._has_header:
            self._has_header = True
            until = self._kept.index(b">", at) + 1
            self._items.append(Header(attributes, _text_of(self._kept[at:until])))
            self._cut(until)
            return
        element = Element(namespace, local, prefix, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._begun = at
        self._open.append(element)
        self._is_empty_tag = True

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text
        self._is_empty_tag = False

    def _end(self, name: str) -> None:
        at = self._parser.CurrentByteIndex - self._first
        if not self._open:
            self._items.append(End())
            return
        element = self._open.pop()
        if not self._open:
            # Behind an empty-element tag expat already points at what follows it.
            is_behind = self._is_empty_tag and self._kept[at - 2 : at] == b"/>"
            until = at if is_behind else self._kept.index(b">", at) + 1
            element.octets = _text_of(self._kept[self._begun : until])
            self._items.append(element)
            self._cut(until)
        self._is_empty_tag = False

    def _cut(self, until: int) -> None:
        self._kept = self._kept[until:]
        self._first += until


def _parts(name: str) -> tuple[str, str, str]:
    """Namespace, local name, prefix."""
    namespace, _, rest = name.rpartition(_SEPARATOR)
    if _SEPARATOR in namespace:  # all three are there
        namespace, _, local = namespace.rpartition(_SEPARATOR)
        return namespace, local, rest
    return namespace, rest, ""


def _text_of(octets: bytes) -> str:
    return octets.decode(errors="replace")
