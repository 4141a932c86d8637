"""Between whom an end-to-end stream runs, and so whose stanzas it may carry (XEP-0246 §4). Pure.

The path outside the stream has proved the peer's address; nothing inside widens it.
`router.xmpp.e2e` asks here.
"""

from dataclasses import dataclass

from router.xmpp import jid
from router.xmpp.errors import MisuseError
from router.xmpp.pair import DomainPair


@dataclass(frozen=True, slots=True)
class Ends:
    """Our address and the peer's, as Jingle has them; kept as `jid.normal` gives them.

    `pairs`: what we send on an express lane. The peer sends the inverse. Only a bare domain carries
    pairs; the one between the two addresses themselves is for the path outside, which the stream
    rests upon. MisuseError otherwise, JidError for what is no address.
    """

    local: str
    peer: str
    pairs: frozenset[DomainPair] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "local", jid.normal(self.local))
        object.__setattr__(self, "peer", jid.normal(self.peer))
        if self.pairs and self.peer != self.peer_domain:
            raise MisuseError(f"{self.peer} is no domain and carries no domain pairs")
        if DomainPair(self.local_domain, self.peer_domain) in self.pairs:
            raise MisuseError("the stanzas that carry a stream cannot travel in it")

    @property
    def local_domain(self) -> str:
        """The domain of our address."""
        return jid.domain_of(self.local)

    @property
    def peer_domain(self) -> str:
        """The domain of the peer's address."""
        return jid.domain_of(self.peer)

    def is_peer(self, address: str) -> bool:
        """Whether this is the peer's very address, resource included."""
        return address == self.peer or _normal(address) == self.peer

    def may_name_peer(self, address: str) -> bool:
        """Whether the peer may be called this in a stream header: full or bare (JXS-07)."""
        return _normal(address) in (self.peer, jid.bare(self.peer))

    def may_name_local(self, address: str) -> bool:
        """As `may_name_peer`, of ourselves."""
        return _normal(address) in (self.local, jid.bare(self.local))


def _normal(address: str) -> str:
    try:
        return jid.normal(address)
    except jid.JidError:
        return ""
