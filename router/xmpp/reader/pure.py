"""The reader in pure Python on pyexpat: octets of one stream in, tokens out.

Expat only ever sees octets up to a '>', and never beyond what the size limit allows the open
element: so every fault has one place in the stream, however the octets were cut (XML-07). `split`
holds expat's handlers, `lexical` the checks beside it, `neutral` the form in which stanzas leave.
"""

from collections.abc import Mapping
from functools import lru_cache
from pyexpat import ExpatError
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree as etree

from router.xmpp import names
from router.xmpp.errors import StreamError
from router.xmpp.pair import DomainPair
from router.xmpp.reader import lexical, usual
from router.xmpp.reader.lexical import Octets, TagScan
from router.xmpp.reader.neutral import Neutral, neutral_under, with_attributes
from router.xmpp.reader.span import Span, Stop
from router.xmpp.reader.split import Split
from router.xmpp.reader.tokens import (
    Counts,
    Element,
    End,
    Fault,
    Faulty,
    Limits,
    Run,
    Token,
)

# Expat reads an unfinished tag from its start again each time; beyond this we find its end first.
_RESCAN_BYTES: Final = 4096
# Expat keeps every name for the life of a parser; a peer must not grow that without bound.
_RENEW_BYTES: Final = 1 << 20
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_SMALL_BYTES: Final = 512


class Reader:
    """Tokens of one stream. `feed` never raises for what the peer sent.

    Careful (negotiation): `feed` stops behind the first token that is no Run and keeps the rest;
    `feed(b"")` goes on. Otherwise every octet is looked at before it returns. Where stanzas are not
    heard, each is a Fault, whatever its addresses. `limits`, `careful` and `hears_stanzas` may be
    assigned at any time between calls. `defaults`: the `from` and `to` of a stanza without them.
    """

    def __init__(
        self,
        content_namespace: str,
        limits: Limits,
        careful: bool = True,
        hears_stanzas: bool = True,
        defaults: Mapping[str, str] = NOTHING,
    ) -> None:
        self.careful = careful
        self._limits = limits
        self._split = Split(content_namespace, limits, defaults)
        self.hears_stanzas = hears_stanzas
        self._neutral: Neutral | None = None
        self._held = bytearray()
        self._ready: list[Token] = []
        self._dead = False
        # Offsets into what is held:
        self._root = -1
        self._fed = 0
        """Expat saw everything before it."""
        self._searched = 0
        """No '>' stands between `_fed` and here."""
        self._less = 0
        """No '<' stands between `_fed` and here, inside an element."""
        self._tag: TagScan | None = None
        """The tag of which expat saw only a part."""
        self._doom: StreamError | None = None
        """The fault of that tag, due when it ends."""

    @property
    def limits(self) -> Limits:
        """The limits from now on."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._split.limit(limits)

    @property
    def hears_stanzas(self) -> bool:
        """Whether the peer may send any stanza at all (RFC 6120 §4.9.3.12)."""
        return self._hears_stanzas

    @hears_stanzas.setter
    def hears_stanzas(self, hears: bool) -> None:
        self._hears_stanzas = hears
        self._split.hear(hears)

    def pending(self) -> int:
        """Octets received and not yet part of a token, white space included."""
        return len(self._held)

    def feed(self, octets: bytes) -> list[Token]:
        """The tokens these octets complete, in order; a Fault is the last one ever."""
        held = self._held
        if self._dead:
            tokens, self._ready = self._ready, []
            return tokens
        data: Octets = octets
        if len(octets) > len(held):
            if held:
                data = bytes(held) + octets
        elif held:
            held += octets
            data = held
        tokens = []
        try:
            while self._step(data, tokens):
                if self.careful and tokens and type(tokens[-1]) is not Run:
                    break
        except StreamError as error:
            tokens.append(Fault(error))
        if tokens and type(tokens[-1]) in (Fault, End):
            self._die()
            if self.careful and len(tokens) > 1 and type(tokens[-2]) is not Run:
                self._ready.append(tokens.pop())
        else:
            self._keep(data)
        return tokens

    def close(self) -> None:
        """Nothing will be fed any more."""
        self._die()
        self._ready.clear()
        self._split.close()

    def _die(self) -> None:
        self._dead = True
        self._held = bytearray()

    def _keep(self, data: Octets) -> None:
        """Hold on to the open element and to what expat has not seen."""
        split = self._split
        if split.depth == 0:
            drop = 0
        elif split.depth == 1:
            drop = self._fed if self._tag is None else self._tag.tag
            if self._tag is None and split.total > _RENEW_BYTES and not split.unconsumed():
                split.renew()
        else:
            drop = self._offset(split.begin)
        if data is self._held:
            del self._held[:drop]
        else:
            self._held = bytearray(data[drop:])
        self._fed -= drop
        self._searched -= drop
        self._less -= drop
        if self._tag:
            self._tag.tag -= drop
            self._tag.at -= drop

    def _offset(self, index: int) -> int:
        return index - self._split.total + self._fed

    def _step(self, data: Octets, tokens: list[Token]) -> bool:
        """Let expat see one more piece of `data`; False when only more octets can help."""
        begin, most = self._place(data)
        if begin < 0:
            return False
        end = min(len(data), begin + most)
        if self._tag is None and self._take_usual(data, begin, end, tokens):
            return type(tokens[-1]) is not End
        cut = self._next_cut(data, end)
        if not cut:
            if self._tag is None and self._split.depth > 1:
                self._check_tail(data, end)
            if end < len(data):
                raise self._too_big()
            return False
        if self._doom:
            raise self._doom
        split = self._split
        if split.depth == 0 and split.open_as_usual(bytes(data[self._fed : cut])):
            self._fed = cut
            self._report(data, begin, tokens)
            return True
        anchor, in_cdata = self._fed - split.unconsumed(), split.in_cdata
        try:
            complaint = split.parse(data, self._fed, cut)
        except Stop:
            self._fed = cut
            self._report(data, begin, tokens)
            if split.fault:
                raise split.fault from None
            tokens.append(End())
            return False
        self._fed = cut
        self._report(data, begin, tokens)
        if complaint:
            self._complain(complaint, data, token_from=anchor, in_cdata=in_cdata)
        else:
            self._note_tag(data)
        return True

    def _take_usual(self, data: Octets, begin: int, end: int, tokens: list[Token]) -> bool:
        """Whether the next element is one that expat need not see; it is reported then."""
        split = self._split
        if not split.is_between():
            return False
        if split.is_usual and data.startswith(usual.CLOSING_TAG, begin, end):
            tokens.append(End())
            return True
        known = usual.element(data, begin, end, self._limits) if self.careful else None
        if known is not None:
            element, self._fed = known
            tokens.append(Element(element, bytes(data[begin : self._fed])))
        return known is not None

    def _place(self, data: Octets) -> tuple[int, int]:
        """Where the element begins that is to be read on, and its limit; (-1, 0) for none."""
        split = self._split
        if split.depth > 1:
            return self._offset(split.begin), self._limits.max_stanza_bytes
        if split.depth == 0:
            most = self._limits.max_header_bytes
            if self._root < 0:
                self._root = self._fed = lexical.root_offset(data, min(len(data), most))
                if self._root < 0:
                    self._fed = 0
                    if len(data) > most:
                        raise self._too_big()
                    return -1, 0
            return 0, most
        # White space between elements is dropped unseen: it may come for ever (XML-04).
        at = lexical.first_tag(data, self._offset(split.gap), len(data))
        if at > self._fed:
            self._fed = at
        return (at, self._limits.max_stanza_bytes) if at < len(data) else (-1, 0)

    def _next_cut(self, data: Octets, end: int) -> int:
        """Offset behind the '>' up to which expat may see `data` now; 0 for none before `end`."""
        tag = self._tag
        long_end = end if tag is None else min(end, tag.tag + _RESCAN_BYTES + 1)
        if not self._doom and (cut := self._find_end(data, long_end)):
            return cut
        if tag is None or (not self._doom and end == long_end):
            return 0
        cut = tag.find(data, end) + 1
        if 0 < cut <= self._fed:
            # Not UTF-8: expat waits for the rest of a character that runs over the tag's end.
            return self._find_end(data, end)
        return cut

    def _find_end(self, data: Octets, end: int) -> int:
        """Offset behind the next '>' before `end`, or the last one when in haste; 0 for none."""
        find = data.find if self.careful or self._split.depth == 0 else data.rfind
        cut = find(b">", max(self._fed, self._searched), end) + 1
        if not cut:
            self._searched = max(self._searched, end)
        return cut

    def _note_tag(self, data: Octets) -> None:
        """After expat saw a piece: is it inside a tag, a '>' in quotes being the last octet?"""
        split = self._split
        at = self._fed - split.unconsumed()
        if at == self._fed or split.in_cdata or data[at : at + 1] != b"<":
            self._tag = None
        elif self._tag is None or self._tag.tag != at:
            # between elements, text may stand before it: `_place` will see that first
            if split.depth > 1 and lexical.opens_restricted(data, at, self._fed):
                raise lexical.restricted("comment or processing instruction")
            self._tag = TagScan(at, at + 1)

    def _check_tail(self, data: Octets, end: int) -> None:
        """Refuse `<!` and `<?` as soon as they are there, not when they end (XML-01)."""
        split = self._split
        if split.in_cdata or split.unconsumed():
            return
        less = data.find(b"<", max(self._fed, self._less), end)
        self._less = end if less < 0 else less
        if less < 0 or not lexical.opens_restricted(data, less, end):
            return
        # What stands before comes first: expat shall see that text, and that it has ended.
        probe = bytes(data[self._fed : less]) + b"<a>"
        try:
            complaint = split.parse(probe, 0, len(probe))
        except Stop:
            complaint = None
        at = split.error_index() - split.total + len(probe)
        if complaint and at < len(probe) - 3:
            raise lexical.fault_of(complaint, probe, at)
        raise lexical.restricted("comment, processing instruction or declaration")

    def _complain(
        self, complaint: ExpatError, data: Octets, token_from: int, in_cdata: bool
    ) -> None:
        """Raise what expat's complaint means, or put it off to the end of a long tag."""
        split, end = self._split, self._fed
        if split.depth == 1:
            token_from = lexical.first_tag(data, self._offset(split.gap), end)
            in_cdata = False
        wrong = self._offset(split.error_index())
        at = lexical.token_at(data, token_from, wrong, end, in_cdata)
        if at >= 0 and lexical.opens_restricted(data, at, end):
            raise lexical.restricted("comment, processing instruction or declaration")
        fault = lexical.fault_of(complaint, data, wrong)
        if at >= 0 and data[at : at + 1] == b"<":
            scan = TagScan(at, at + 1)
            seen = data.find(b">", wrong + lexical.character_bytes(data, wrong) - 1, end)
            if scan.find(data, end) < 0 and not 0 <= seen <= at + _RESCAN_BYTES:
                self._tag, self._doom = scan, fault
                return
        raise fault

    def _too_big(self) -> StreamError:
        if self._split.depth == 0:
            return StreamError("policy-violation", "stream header too big")
        return StreamError("policy-violation", "element too big", (names.ERRORS, "stanza-too-big"))

    # --- from spans to tokens ---

    def _report(self, data: Octets, begin: int, tokens: list[Token]) -> None:
        split = self._split
        if self._neutral is None:
            if split.header is None:
                return
            header = split.header
            split.opened(bytes(data[self._root : self._fed]))
            self._neutral = neutral_under(split.content, header)
            tokens.append(header)
            return
        for span in split.take_spans():
            if span.fault:
                raise span.fault
            octets = bytes(data[self._offset(span.begin) : self._offset(span.ends[-1])])
            if not span.is_stanza:
                tokens.append(Element(self._tree(octets), octets))
                continue
            pair = DomainPair(span.sender, span.target)
            if span.lacking:
                octets = with_attributes(octets, span.lacking)
                span.ends = [span.begin + len(octets)]
            if span.error:
                tokens.append(Faulty(pair, self._rewritten(octets), span.error))
            elif self._neutral.is_neutral(octets):
                presences, iqs = span.kinds.count(1), span.kinds.count(2)
                counts = Counts(len(span.ends) - presences - iqs, presences, iqs)
                tokens.append(Run(pair, counts, octets))
            else:
                self._report_rewritten(pair, span, octets, tokens)

    def _report_rewritten(
        self, pair: DomainPair, span: Span, octets: bytes, tokens: list[Token]
    ) -> None:
        pieces: list[bytes] = []
        begin = 0
        try:
            for index in span.ends:
                end = index - span.begin
                pieces.append(self._rewritten(octets[begin:end]))
                begin = end
        finally:
            if pieces:
                first = [piece[1:2] for piece in pieces]
                counts = Counts(first.count(b"m"), first.count(b"p"), first.count(b"i"))
                tokens.append(Run(pair, counts, b"".join(pieces)))

    def _rewritten(self, octets: bytes) -> bytes:
        """One stanza in neutral form. Escaping may make CDATA grow, but not beyond every limit."""
        assert self._neutral is not None
        rewritten = self._neutral.rewrite(octets)
        if len(rewritten) > self._limits.max_stanza_bytes + self._limits.max_header_bytes:
            raise self._too_big()
        return rewritten

    def _tree(self, octets: bytes) -> etree.Element:
        """The element alone, with the namespaces of the header (STR-19)."""
        assert self._neutral is not None
        wrapped = self._neutral.wrap(octets)
        return _small_tree(wrapped) if len(wrapped) <= _SMALL_BYTES else _new_tree(wrapped)


def _new_tree(wrapped: bytes) -> etree.Element:
    try:
        # Not lxml: libxml2 keeps every name that it has ever seen, for the life of the process.
        (element,) = etree.fromstring(wrapped)
    except etree.ParseError as error:
        # ElementTree refuses a namespace with "}" in it; no protocol that we speak has one.
        raise StreamError("unsupported-stanza-type", str(error)[:100]) from None
    return element


# What negotiates a stream is the same octets on each of a server's streams. Nobody changes a tree.
_small_tree: Final = lru_cache(maxsize=256)(_new_tree)
