"""Whether TLS comes first on the bytestream: `<security/>` of Jingle XTLS, never made a XEP.

Of its methods, certificates alone ("x509"): TLS-SRP, which it demands too, is in no TLS library of
ours. The caller does TLS and holds the peer's certificate against the fingerprint.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from router.xmpp import names

METHOD: Final = "x509"
MAX_METHODS: Final = 8
_MAX_FINGERPRINT_CHARS: Final = 256
_TAG: Final = f"{{{names.JINGLE_XTLS}}}security"


@dataclass(frozen=True, slots=True)
class Security:
    """One side's `<security/>`: the fingerprint of its certificate, "" if it gives none."""

    fingerprint: str = ""
    methods: tuple[str, ...] = (METHOD,)

    def element(self) -> bytes:
        """`<security/>`, self-contained."""
        own = f"<fingerprint>{escape(self.fingerprint)}</fingerprint>" if self.fingerprint else ""
        methods = "".join(f"<method name={quoteattr(name)}/>" for name in self.methods)
        return f"<security xmlns='{names.JINGLE_XTLS}'>{own}{methods}</security>".encode()

    def matches(self, certificate: bytes) -> bool:
        """Whether it is this certificate (DER) whose fingerprint was signalled (XTL-03)."""
        given = self.fingerprint.replace(":", "").lower().encode()
        return hmac.compare_digest(given, fingerprint(certificate).encode())


def fingerprint(certificate: bytes) -> str:
    """What we signal of a certificate (DER): SHA-256, in hexadecimal; the draft names no hash."""
    return hashlib.sha256(certificate).hexdigest()


def parse(element: Element | None) -> Security | None:
    """The security that this element offers, None when it is no XTLS."""
    if element is None or element.tag != _TAG:
        return None
    given = element.findtext(f"{{{names.JINGLE_XTLS}}}fingerprint", "").strip()
    methods = element.findall(f"{{{names.JINGLE_XTLS}}}method")[:MAX_METHODS]
    named = tuple(method.get("name", "") for method in methods)
    return Security(given[:_MAX_FINGERPRINT_CHARS], named)


class SecurityNegotiation:
    """What one session agrees on. `peer` is the other side's security once TLS is to come first.

    Without `ours` the peer's wish is ignored, as the draft has it, and the peer may end it all.
    """

    def __init__(self, ours: Security | None) -> None:
        self._ours = ours
        self.peer: Security | None = None

    def peer_supports(self, features: frozenset[str]) -> None:
        """Ask for nothing that the peer does not announce; the stream itself has STARTTLS."""
        if names.JINGLE_XTLS not in features:
            self._ours = None

    def take_offer(self, element: Element | None) -> bool:
        """The initiator's `<security/>`: False ends the session with security-error (XTL-01)."""
        offered = parse(element)
        if offered is None:
            self._ours = None
        return self._ours is None or self._take(offered)

    def take_answer(self, element: Element | None) -> bool:
        """The responder's: if ours is left without a usable answer, False ends it (XTL-04)."""
        return self._ours is None or self._take(parse(element))

    def element(self) -> bytes:
        """Our `<security/>`, nothing when there is none to give."""
        return self._ours.element() if self._ours is not None else b""

    def _take(self, theirs: Security | None) -> bool:
        if theirs is None or METHOD not in theirs.methods or not theirs.fingerprint:
            return False
        self.peer = theirs
        return True
