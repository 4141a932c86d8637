"""What a stream core may ask about the peer's certificate, and the form of the answer.

Pure: chains, clocks and trust anchors are the acceptor's (`router.acceptor.certificates`). The
cores ask each time they decide and never keep an answer (XEP-0178 §3, XEP-0344 §3).
"""

from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a certificate proves one domain at the moment of asking (RFC 6120 §13.7.2)."""

    trusted: bool
    """The chain leads to a trust anchor; validity dates, key sizes and purpose are right."""
    covers: bool
    """One of its identifiers is the domain (§13.7.1.2)."""
    reason: str
    """A short sentence for people, whichever way the verdict goes."""
    not_after: float | None = None
    """When the leaf ends, in seconds since the epoch; None without a readable certificate."""

    @property
    def valid(self) -> bool:
        """Trusted and for this domain: enough for SASL EXTERNAL and for XEP-0344."""
        return self.trusted and self.covers


class Evidence(Protocol):
    """The peer's certificate, as a stream core sees it."""

    def proves(self, domain: str) -> Verdict:
        """The verdict for `domain`, judged now; a domain that is no valid name is not covered.

        A bare address with a localpart, in `jid.normal` form, is an account (RFC 6120 §13.7.1.4).
        """
        ...


@dataclass(frozen=True, slots=True)
class _NoCertificate:
    """The peer sent no certificate, or there is no TLS."""

    def proves(self, domain: str) -> Verdict:
        return Verdict(trusted=False, covers=False, reason="no certificate")


NO_CERTIFICATE: Final[Evidence] = _NoCertificate()
