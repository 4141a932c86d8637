"""Who may send what on one stream: domain pairs, for each direction, and what proved each.

Authority is a set of (pair, direction) per stream; a grant never widens by itself (RFC 6120
§8.1.1.2, XEP-0220 §2.6, XEP-0288 §2.2). Only the stream cores add to it, after a proof.
"""

from dataclasses import dataclass, field
from typing import Final

from router.xmpp.errors import StreamError
from router.xmpp.pair import DomainPair

EXPRESS: Final = "e2e"
"""The proof of a pair on an express lane: the path on which the lane was agreed (XEP-0247)."""


@dataclass(slots=True)
class Grants:
    """The pairs a peer may send to us, and those we may send to it, on one stream.

    Each with its prooftype (RFC 7712 §4): "external", "dialback" or EXPRESS.
    """

    receive: dict[DomainPair, str] = field(default_factory=dict)
    send: dict[DomainPair, str] = field(default_factory=dict)

    def proved(self) -> bool:
        """Whether the stream may carry anything at all."""
        return bool(self.receive or self.send)

    def check_received(self, pair: DomainPair) -> None:
        """Raise the StreamError that RFC 6120 names unless stanzas of `pair` may come in here.

        §4.9.3.12 before any proof; §8.1.1.2 for the target; §8.1.2.2 for the sender.
        """
        if pair in self.receive:
            return
        if not self.receive:
            raise StreamError("not-authorized", "stanza before the sender's domain was proved")
        if all(pair.target != granted.target for granted in self.receive):
            raise StreamError("host-unknown", "stanza for a domain not agreed on this stream")
        raise StreamError("invalid-from", "stanza from a domain not proved on this stream")
