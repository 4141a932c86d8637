"""The reader with a compiled hot path: ordinary stanzas by `scan.c`, all else by the pure reader.

The scanner only recognises; the first stanza it is not sure of goes to the reader on expat from its
first octet, which judges it as if there were no other. So both readers report the same, call by
call, except that consecutive stanzas may be cut into runs differently. Needs the extension built.
"""

from collections.abc import Mapping
from typing import Final

from router.xmpp.jid import JidError
from router.xmpp.pair import DomainPair
from router.xmpp.reader import address, pure
from router.xmpp.reader._scan import MAX_NEEDLES, Scanner
from router.xmpp.reader.tokens import Counts, Limits, Run, Token

# Doubtful stanzas of one call that are handed over one by one; then all that is left goes at once.
_DOUBTS: Final = 4
# A stanza that trickles in is looked at again each time; beyond this expat goes on with it.
_LOOKED_AT_TIMES: Final = 4
_LOOKED_AT_BYTES: Final = 16_384
_CLOSINGS: Final = {b"<m": b"</message>", b"<p": b"</presence>", b"<i": b"</iq>"}
# Stream management's <r/> and <a/> stand between stanzas as a matter of course (XEP-0198 §4).
_ACKS: Final = {b"<r": b">", b"<a": b">"}


def _sender(text: str) -> str | None:
    try:
        return address.sender(text)
    except JidError:
        return None


def _target(text: str) -> str | None:
    try:
        domain, fault = address.target(text)
    except JidError:
        return None
    return None if fault else domain


class Reader(pure.Reader):
    """As `pure.Reader`, faster once the stream is open and no longer read carefully."""

    def __init__(
        self,
        content_namespace: str,
        limits: Limits,
        careful: bool = True,
        hears_stanzas: bool = True,
        defaults: Mapping[str, str] = pure.NOTHING,
    ) -> None:
        self._scanner: Scanner | None = None
        """From the header on; None also where no stanza can be forwarded as it is."""
        self._is_opened = False
        self._closing = b""
        """The end tag of the stanza that expat was given last, as it is usually written."""
        self._scanner_limits = limits
        self._waiting = b""
        """The beginning of a stanza, without a fault so far, that expat has not seen."""
        self._looked_at = 0
        """Octets scanned in vain since that stanza began."""
        super().__init__(content_namespace, limits, careful, hears_stanzas, defaults)

    def pending(self) -> int:
        """Octets received and not yet part of a token, white space included."""
        return len(self._waiting) + super().pending()

    def feed(self, octets: bytes) -> list[Token]:
        """The tokens these octets complete, in order; a Fault is the last one ever."""
        scanner = self._scanner
        if scanner is None or self.careful or not self._hears_stanzas:
            waiting, self._waiting = self._waiting, b""
            tokens = super().feed(waiting + octets)
            if not self._is_opened:
                self._open()
            return tokens
        if not octets or self._dead:
            return super().feed(b"") if self._held or self._dead else []
        if self._scanner_limits is not self._limits:
            self._limit(scanner)
        data, self._waiting = self._waiting + octets, b""
        tokens = []
        at = doubts = 0
        while at < len(data) and not self._dead:
            if self._is_between():
                at, only_waits, spans = scanner.scan(data, at)
                for begin, end, sender, target, *counts in spans:
                    pair = DomainPair(sender, target)
                    tokens.append(Run(pair, Counts(*counts), data[begin:end]))
                if only_waits and self._may_wait(len(data) - at, bool(spans)):
                    self._waiting = data[at:]
                    break
                begins = data[at : at + 2]
                doubts += begins not in _ACKS
                self._closing = _CLOSINGS.get(begins) or _ACKS.get(begins, b"")
            end = self._likely_end(data, at) if doubts <= _DOUBTS else len(data)
            tokens += super().feed(data[at:end])
            at = end
        return tokens

    def _is_between(self) -> bool:
        """Whether expat has seen all there is, and no element is open."""
        return self._split.depth == 1 and not self._held

    def _may_wait(self, octets: int, is_new: bool) -> bool:
        """Whether to look at these octets once more when others have come."""
        self._looked_at = octets + (0 if is_new else self._looked_at)
        return self._looked_at <= _LOOKED_AT_BYTES + _LOOKED_AT_TIMES * octets

    def _likely_end(self, data: bytes, at: int) -> int:
        """Where the stanza that expat reads ends, if it holds no other: so much it is given."""
        found = data.find(self._closing, at) if self._closing else -1
        return found + len(self._closing) if found >= 0 else len(data)

    def _open(self) -> None:
        """Set up the scanner, once the header is there."""
        if self._neutral is None:
            return
        self._is_opened = True
        needles = self._neutral.needles()
        if needles is not None and len(needles) <= MAX_NEEDLES:
            self._scanner = Scanner(needles, address.senders, address.targets, _sender, _target)
            self._limit(self._scanner)

    def _limit(self, scanner: Scanner) -> None:
        limits = self._scanner_limits = self.limits
        scanner.limit(
            limits.max_stanza_bytes,
            limits.max_depth,
            limits.max_attributes,
            limits.max_namespaces,
            limits.max_elements,
        )
