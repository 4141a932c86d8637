"""One expat parser over one stream: where first-level elements begin and end, and what they are.

Expat proves well-formedness; the handlers here check addresses, kinds and limits, and collect spans
of octets. Positions are expat's byte indices. `pure` feeds it and turns spans into tokens.
"""

import pyexpat
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from router.xmpp import names
from router.xmpp.errors import StanzaError, StreamError
from router.xmpp.jid import JidError
from router.xmpp.reader import address, lexical, usual
from router.xmpp.reader.span import Span, Stop, measured
from router.xmpp.reader.tokens import Header, Limits

_SEP: Final = "\x01"  # no XML document can contain it, not even as a reference
# Where a stanza may wrongly be: in the content namespace of another kind of stream, or in none.
_NOT_THE_CONTENT: Final = frozenset(
    {names.SERVER, names.CLIENT, names.COMPONENT, names.STREAMS, ""}
)
_STANZAS: Final = ("message", "presence", "iq")
_CLOSINGS: Final = (b"</message>", b"</presence>", b"</iq>")
_IQ: Final = 2
_IQ_TYPES: Final = frozenset({"get", "set", "result", "error"})
_HANDSHAKE: Final = f"{names.COMPONENT}{_SEP}handshake"
_HEADER: Final = f"{names.STREAMS}{_SEP}stream"
_HANDLERS: Final = [name for name in dir(pyexpat.ParserCreate()) if name.endswith("Handler")]
_RAW_NAME: Final = re.compile(rb"[^\s/>]+")
_BAD_REQUEST: Final = StanzaError.of("bad-request", "iq needs an id and a type")
# Prefixes and namespaces that the header declares, together: each stanza may have to carry them.
_MAX_LENT_CHARS: Final = 1024
# The shortest forms: ` xmlns:a="b"` and `<a/>`.
_MIN_DECLARATION_BYTES: Final = 12
_MIN_ELEMENT_BYTES: Final = 4


class Split:
    """Handlers and state of one stream; `parse` is called with ever more octets."""

    def __init__(self, content: str, limits: Limits, defaults: Mapping[str, str]) -> None:
        self.content = content
        self._defaults = defaults
        self.limit(limits)
        self.hear(True)
        self.depth = 0
        self.begin = 0
        """Where the open first-level element began."""
        self.gap = 0
        """Where the last first-level element, or the header, ended."""
        self.total = 0
        """Octets expat was given."""
        self.in_cdata = False
        self.header: Header | None = None
        self.fault: StreamError | None = None
        self.spans: list[Span] = []
        self._namespaces: dict[str, str] = {}
        self._header_octets = b""
        # While expat runs: data[i - shift] is its byte i, and it sees none from `end_at` on.
        self._data: lexical.Octets = b""
        self._shift = 0
        self._end_at = 0
        self._span = Span(0, "", "", False)
        self._kind = 0
        self._senders = address.senders
        self._targets = address.targets
        self._parser: pyexpat.XMLParserType
        self.is_usual = False
        """Whether the header is one that `usual` knows."""
        self._is_parsing = False
        """Whether there is a parser: from the first octets on that are not known without one."""

    def hear(self, stanzas: bool) -> None:
        """Take stanzas from now on, or know none of them: then each is a fault (STR-17)."""
        self._kinds = _kinds(self.content) if stanzas else {}

    def limit(self, limits: Limits) -> None:
        """Take over the limits that are checked here."""
        self._limits = limits
        self._max_depth = limits.max_depth + 1
        self._max_attributes = limits.max_attributes
        self._max_namespaces = limits.max_namespaces
        self._max_elements = limits.max_elements
        self._counted_above = min(
            limits.max_namespaces * _MIN_DECLARATION_BYTES, limits.max_elements * _MIN_ELEMENT_BYTES
        )

    def parse(self, data: lexical.Octets, begin: int, end: int) -> pyexpat.ExpatError | None:
        """Let expat see data[begin:end], which follow what it saw; spans are the result.

        Returns expat's complaint, if any; raises Stop when a handler found a fault or the end.
        """
        if not self._is_parsing:
            self._begin()
        self._data = data
        self._shift = self.total - begin
        self._end_at = end
        self.total += end - begin
        try:
            self._parser.Parse(data[begin:end], False)
        except pyexpat.ExpatError as error:
            self._undo_false_end()
            return error
        finally:
            self._data = b""
        return None

    def unconsumed(self) -> int:
        """How many of the octets given form the beginning of an unfinished token."""
        return self.total - self._parser.CurrentByteIndex if self._is_parsing else 0

    def error_index(self) -> int:
        """Expat's index of what it complained about."""
        return self._parser.ErrorByteIndex

    def take_spans(self) -> list[Span]:
        """The finished spans; what is still open goes on in a new one."""
        done = [span for span in self.spans if span.ends]
        if self.depth > 1 and self._span.ends:
            old = self._span
            self._span = Span(self.begin, old.sender, old.target, old.shared)
            self.spans = [self._span]
        elif self.depth > 1:
            self.spans = [self._span]
        else:
            self._span = Span(0, "", "", False)
            self.spans = []
        return done

    def open_as_usual(self, octets: bytes) -> bool:
        """Take these octets for the header's tag; False when that needs expat."""
        if self._is_parsing:
            return False
        self.header = usual.header(octets, self.content, self._limits, _MAX_LENT_CHARS)
        self.is_usual = self.header is not None
        self.depth = 1 if self.is_usual else 0
        return self.is_usual

    def opened(self, octets: bytes) -> None:
        """Take the header's tag as it came: what a renewed parser begins with."""
        self._header_octets = octets
        self.gap = self.total

    def renew(self) -> None:
        """A new parser in the same context: expat never forgets a name it has seen.

        Only between first-level elements, all octets consumed.
        """
        self._hear_nothing(self._parser)
        self._resume()

    def close(self) -> None:
        """Let go of expat, whose handlers are ours: else only the collector would find us both."""
        if self._is_parsing:
            self._hear_nothing(self._parser)

    def is_between(self) -> bool:
        """Whether expat stands behind the header or an element, and need not see what is next."""
        return self.depth == 1 and self.gap == self.total and not self.unconsumed()

    # --- expat's handlers ---

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = self.depth = self.depth + 1
        if len(attributes) > self._max_attributes:
            self._refuse(StreamError("policy-violation", "too many attributes"))
        if depth != 2:
            if depth > self._max_depth:
                self._refuse(StreamError("policy-violation", "nested too deep"))
            if depth == 1:
                self._open(name, attributes)
            return
        begin = self.begin = self._parser.CurrentByteIndex
        span = self._span
        if begin != self.gap:
            self._check_gap(begin)
            span.shared = False
        try:
            kind = self._kind = self._kinds[name]
            sender = self._senders[attributes["from"]]
            target = self._targets[attributes["to"]]
        except KeyError:
            self._judge(name, attributes)
            return
        if kind == _IQ and _is_bad_iq(attributes):
            self._judge(name, attributes)
            return
        if sender is not span.sender or target is not span.target or not span.shared:
            span = self._span = Span(begin, sender, target, True)
            self.spans.append(span)

    def _end(self, _: str) -> None:
        depth = self.depth = self.depth - 1
        if depth > 1:
            return
        at = self._parser.CurrentByteIndex
        span = self._span
        if depth == 0:
            self._check_gap(at)
            raise Stop
        kind = self._kind
        if kind >= 0 and self._data.startswith(_CLOSINGS[kind], at - self._shift, self._end_at):
            end = at + len(_CLOSINGS[kind])
        else:
            end = self._end_of_tag(at)
        if end - self.begin > self._counted_above:
            self._count(end)
        self.gap = end
        span.ends.append(end)
        if kind > 0:
            span.kinds.append(kind)

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        self._namespaces[prefix or ""] = uri or ""

    def _restricted(self, *_: object) -> None:
        if self.depth == 1:
            self._check_gap(self._parser.CurrentByteIndex)
        self._refuse(lexical.restricted("comment or processing instruction"))

    def _cdata_begins(self) -> None:
        self.in_cdata = True

    def _cdata_ends(self) -> None:
        self.in_cdata = False

    # --- seldom ---

    def _begin(self) -> None:
        self._is_parsing = True
        if self.header is not None:
            self._resume()
            return
        self._parser = self._new_parser()
        self._parser.StartNamespaceDeclHandler = self._declared

    def _resume(self) -> None:
        """A parser that has read the header, and nothing else."""
        self._parser = self._new_parser(bare=True)
        self._parser.Parse(self._header_octets, False)
        self._listen(self._parser)
        self.total = self.gap = len(self._header_octets)

    def _new_parser(self, bare: bool = False) -> pyexpat.XMLParserType:
        parser = pyexpat.ParserCreate("UTF-8", _SEP, None)
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)  # it would hold back finished tokens
        if not bare:
            self._listen(parser)
        return parser

    def _listen(self, parser: pyexpat.XMLParserType) -> None:
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CommentHandler = self._restricted
        parser.ProcessingInstructionHandler = self._restricted
        parser.StartCdataSectionHandler = self._cdata_begins
        parser.EndCdataSectionHandler = self._cdata_ends

    @staticmethod
    def _hear_nothing(parser: pyexpat.XMLParserType) -> None:
        for name in _HANDLERS:
            setattr(parser, name, None)

    def _refuse(self, fault: StreamError) -> None:
        self.fault = fault
        raise Stop

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        """The stream header (STR-10, STR-11); a fault does not keep it from being reported."""
        self._parser.StartNamespaceDeclHandler = None
        plain = {_clark(key): value for key, value in attributes.items()}
        fault = self._header_fault(name)
        self.header = Header(_clark(name), plain, self._namespaces, fault)
        if fault:
            self._refuse(fault)

    def _header_fault(self, name: str) -> StreamError | None:
        spaces = self._namespaces
        namespace, _, local = name.rpartition(_SEP)
        declared = sum(len(prefix) + len(uri) for prefix, uri in spaces.items())
        if len(spaces) > self._max_namespaces or declared > _MAX_LENT_CHARS:
            return StreamError("policy-violation", "too many namespace declarations")
        if namespace != names.STREAMS:
            return StreamError("invalid-namespace", "stream header")
        if local != "stream":
            return StreamError("bad-format", "stream header")
        if spaces.get("", "") not in ("", self.content, names.STREAMS):
            return StreamError("invalid-namespace", "content namespace")
        return None

    def _check_gap(self, at: int) -> None:
        try:
            lexical.first_tag(self._data, self.gap - self._shift, at - self._shift)
        except StreamError as error:
            self._refuse(error)

    def _judge(self, name: str, attributes: dict[str, str]) -> None:
        """Anything but a stanza whose addresses were seen before (STR-18, RTE-01, 06, 09)."""
        namespace, _, local = name.rpartition(_SEP)
        self._kind = self._kinds.get(name, -1)
        if self._kind >= 0:
            self._judge_stanza(local, attributes)
            return
        span = self._span = Span(self.begin, "", "", False)
        span.is_stanza = False
        self.spans.append(span)
        if name == _HEADER:
            self._refuse(StreamError("bad-format", "a second stream header"))
        if namespace != self.content:
            if local in _STANZAS and namespace in _NOT_THE_CONTENT:
                self._refuse(StreamError("invalid-namespace", f"{local} in another namespace"))
        elif name == _HANDSHAKE:
            pass
        elif not self._kinds and (local in _STANZAS or namespace == names.COMPONENT):  # CMP-03
            span.fault = StreamError("not-authorized", f"{local} before any proof")
        else:
            self._refuse(StreamError("unsupported-stanza-type", "unknown element"))

    def _judge_stanza(self, local: str, attributes: dict[str, str]) -> None:
        if self._raw_name() != local.encode():
            self._refuse(StreamError("bad-namespace-prefix", "stanza with a prefix"))
        lacking = {name: text for name, text in self._defaults.items() if name not in attributes}
        given = {**attributes, **lacking} if lacking else attributes
        try:
            sender = address.sender(given.get("from", ""))
            target, error = address.target(given.get("to", ""))
        except JidError as bad:
            self.fault = StreamError("improper-addressing", str(bad))
            raise Stop from None
        if error is None and self._kind == _IQ and _is_bad_iq(attributes):
            error = _BAD_REQUEST
        span, alone = self._span, bool(error or lacking)
        if alone or not span.shared or (sender, target) != (span.sender, span.target):
            span = self._span = Span(self.begin, sender, target, not alone)
            span.error, span.lacking = error, lacking
            self.spans.append(span)

    def _raw_name(self) -> bytes:
        match = _RAW_NAME.match(self._data, self.begin - self._shift + 1)
        return bytes(match[0]) if match else b""

    def _end_of_tag(self, at: int) -> int:
        """Where the root's end tag ends; `at` itself when its only tag was an empty one."""
        closing = b"</" + self._raw_name()
        here = at - self._shift
        after = here + len(closing)
        if self._data.startswith(closing, here, self._end_at) and self._data[after] in b" \t\r\n>":
            found = self._data.find(b">", after, self._end_at)
            if found >= 0:
                return found + 1 + self._shift
        return at

    def _undo_false_end(self) -> None:
        """After `<message/></message>` the error sits inside what was taken for an end tag."""
        span = self._span
        if span.ends and self._parser.ErrorByteIndex < span.ends[-1]:
            closing = self._data.rfind(b"</", 0, span.ends[-1] - self._shift)
            span.ends[-1] = self.gap = closing + self._shift

    def _count(self, end: int) -> None:
        """The limits too dear to check on every element: counted when octets make them possible."""
        begin, end = self.begin - self._shift, end - self._shift
        if (
            self._data.count(b"xmlns", begin, end) <= self._max_namespaces
            and self._data.count(b"<", begin, end) <= self._max_elements
        ):
            return
        parser = self._new_parser(bare=True)
        parser.Parse(self._header_octets, False)
        size = measured(parser, self._data[begin:end])
        if size.most_namespaces > self._max_namespaces:
            self._refuse(StreamError("policy-violation", "too many namespace declarations"))
        if size.elements > self._max_elements:
            self._refuse(StreamError("policy-violation", "too many elements"))


@lru_cache(maxsize=8)
def _kinds(content: str) -> dict[str, int]:
    return {f"{content}{_SEP}{local}": i for i, local in enumerate(_STANZAS)}


def _is_bad_iq(attributes: dict[str, str]) -> bool:
    return "id" not in attributes or attributes.get("type") not in _IQ_TYPES


def _clark(name: str) -> str:
    namespace, _, local = name.rpartition(_SEP)
    return f"{{{namespace}}}{local}" if namespace else local
