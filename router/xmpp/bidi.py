"""Bidirectional server-to-server streams (XEP-0288): when they are agreed, and what they permit."""

from collections.abc import Collection

from router.xmpp import names
from router.xmpp.pair import DomainPair
from router.xmpp.states import Phase

# BIDI-03: the first is the standard's. The second is the draft's, seen in its examples only. As a
# request, the first is COMPAT ejabberd 24.10, 24.12, which ask in the feature's namespace.
FEATURE_TAGS = (f"{{{names.BIDI_FEATURE}}}bidi", f"{{{names.BIDI}}}bidi")
REQUEST_TAGS = (f"{{{names.BIDI}}}bidi", f"{{{names.BIDI_FEATURE}}}bidi")


def sendable(proved: Collection[DomainPair], bidi: bool) -> frozenset[DomainPair]:
    """The pairs we may send on a stream the peer opened: here it is decided.

    XEP-0288 §2.2, §3: with bidi, the inverse of each pair the peer has proved, be it by SASL or by
    a dialback answer that we have already sent; without it, none. No other hosted domain of ours,
    no other domain of theirs.
    """
    return frozenset(pair.inverse() for pair in proved) if bidi else frozenset()


def acceptable(proved: Collection[DomainPair], bidi: bool) -> frozenset[DomainPair]:
    """The pairs we accept on a stream that we opened: the inverse of those we hold, with bidi.

    BIDI-11, BIDI-12; without bidi the stream is one-way (RFC 6120 §4.5).
    """
    return frozenset(pair.inverse() for pair in proved) if bidi else frozenset()


def request_counts(phase: Phase, *, offered: bool, already: bool, proof_begun: bool) -> bool:
    """Whether a peer's `<bidi/>` takes effect now; if not, it is ignored (BIDI-05, BIDI-07).

    Only where we offered it, once, before any `<auth/>` or dialback key (XEP-0288 §2.1).
    """
    return offered and not already and not proof_begun and phase in (Phase.PLAIN, Phase.SECURE)
