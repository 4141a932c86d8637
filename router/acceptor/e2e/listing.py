"""Who may open a session with the router's own address, and what is answered without one.

Every acceptor answers what needs no session where it comes in; the rest goes to the one that has
the sessions. Called by `ingress` and by the service. Pure.
"""

from dataclasses import replace
from typing import Final

from router.config import E2e
from router.xmpp import jid
from router.xmpp.jingle import discovery
from router.xmpp.pair import DomainPair
from router.xmpp.service import ROUTER, Answer, Profile, answer_to
from router.xmpp.stanza import Stanza

PROXY: Final = ("proxy", "bytestreams", "Causeway")
"""The identity of a SOCKS5 proxy (XEP-0065 §4)."""

_NOBODY: Final = ""


class Listing:
    """The addresses of `[e2e] accept` and of the express lanes.

    A domain stands for every address at it, a bare address for all its resources, a full one for
    itself. Localparts are compared without regard to case.
    """

    def __init__(self, e2e: E2e) -> None:
        self._listed = frozenset(
            _comparable(each) for each in (*e2e.accept, *(lane.peer for lane in e2e.express))
        )
        self._pairs = {lane.peer: frozenset(lane.pairs) for lane in e2e.express}
        proxies = (e2e.jid,) if e2e.jid and e2e.proxy else ()
        found = discovery.profile(has_s5b=True, proxies=proxies)
        identities = (*found.identities, PROXY) if proxies else found.identities
        self._profile: Profile = replace(found, identities=identities)

    def has_anybody(self) -> bool:
        """Whether there can be a session at all."""
        return bool(self._listed)

    def may_open(self, address: str) -> bool:
        """Whether a session with this address is wanted."""
        name = _comparable(address)
        bare, domain = (
            jid.bare(name) if name else _NOBODY,
            name.partition("/")[0].rpartition("@")[2],
        )
        return name != _NOBODY and not self._listed.isdisjoint((name, bare, domain))

    def pairs_with(self, address: str) -> frozenset[DomainPair]:
        """The domain pairs that a stream with this address carries; only a domain carries any."""
        return self._pairs.get(address, frozenset())

    def profile_for(self, address: str) -> Profile:
        """What this address may discover."""
        return self._profile if self.may_open(address) else ROUTER

    def reply_to(self, stanza: Stanza) -> Answer | None:
        """The answer to a stanza for the router's address; None: for who has the sessions.

        An address that is not listed is never told more than that nobody is here (JXS-03).
        """
        sender = stanza.attributes["from"]
        if not self.may_open(sender):
            return answer_to(stanza)
        if stanza.kind == "iq" and stanza.attributes.get("type") == "get":
            reply = answer_to(stanza, self._profile)
            return None if reply.is_refusal else reply
        return None


def _comparable(address: str) -> str:
    """The address in one spelling, or "" when it is none."""
    try:
        normal = jid.normal(address)
    except jid.JidError:
        return _NOBODY
    bare, slash, resource = normal.partition("/")
    return bare.lower() + slash + resource
