"""Whether a pair that needs a stream may have one that is open already, for other pairs.

XEP-0220 §2.6: further senders and targets on a stream of ours, where the peer answers with errors
and it is the same server; XEP-0288 §2.2: on the peer's own, where it is known to bear that. Asked
by the dialer before it connects.
"""

from collections.abc import Callable, Collection, Iterable
from itertools import chain
from typing import Final

from router.acceptor.certificates.store import CertificateStore
from router.acceptor.connection import Connection
from router.peer_memory import Fact, PeerMemory
from router.wire.frames import VerifyKey
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.receiving import ReceivingStream

Place = tuple[str, int]
"""IP address and port."""

PAIRS_PER_STREAM: Final = 500


class Sharing:
    """Chooses among what `leading_to(domain, places)` finds, by what peers are known to do."""

    def __init__(
        self,
        leading_to: Callable[[str, Collection[Place]], Iterable[Connection]],
        certificates: CertificateStore,
        memory: PeerMemory,
    ) -> None:
        self._leading_to = leading_to
        self._certificates = certificates
        self._memory = memory

    def may_follow(self, first: DomainPair, pair: DomainPair) -> bool:
        """Whether a stream to the same server, once open for `first`, may well take the pair."""
        return self._proves_no_less(first.sender, pair.sender) and not any(
            self._memory.recall(domain, Fact.ERRORS) == "no" or self._takes_it_badly(domain)
            for domain in (first.target, pair.target)
        )

    def find(self, pair: DomainPair, places: Collection[Place]) -> Connection | None:
        """An open stream for the pair, or None. `places`: where its target is by DNS or by route.

        The lowest number, so that pairs gather on few streams.
        """
        found = [
            connection
            for connection in self._leading_to(pair.target, places)
            if self._may_try(connection, pair)
            and self._asks_no_less(connection, pair)
            and self._leads_there(connection, pair.target, places)
        ]
        return min(found, key=_number, default=None)

    def for_key(
        self, frame: VerifyKey, places: Collection[Place], opening: Iterable[Connection] = ()
    ) -> Connection | None:
        """A stream of ours to ask about the key, for other domains of that server, or None.

        Never the one that brought the key (BIDI-18). `places`: where the key's domain is; `opening`
        streams will do once they are past their features. Nothing is asked of a peer that is not
        known to bear several pairs. Where TLS comes first, a place alone does not tell the server:
        whoever takes connections there may pass them on by name, and a neighbour must not vouch for
        the domain.
        """
        domain = frame.pair.sender
        found = [
            connection
            for connection in chain(self._leading_to(domain, places), opening)
            if isinstance(core := connection.core, InitiatingStream)
            and connection.end is None
            and core.carries_verify()
            and core.stream_id != frame.stream_id
            and self._bears_others(core, domain)
            and self._leads_there(connection, domain, () if connection.direct_tls else places)
        ]
        return min(found, key=_number, default=None)

    def proves_by_certificate(self, connection: Connection, pair: DomainPair) -> bool:
        """Whether the peer needs to ask nobody when we ask for the pair (XEP-0344 §2.4)."""
        core = connection.core
        return (
            isinstance(core, InitiatingStream)
            and core.mechanism == "external"
            and self._certificates.shows(core.local, pair.sender)
        )

    def _may_try(self, connection: Connection, pair: DomainPair) -> bool:
        """Whether the core can ask, and the peer is not known to take it badly."""
        core = connection.core
        if connection.end is not None:
            return False
        if isinstance(core, ReceivingStream):
            known = self._memory.recall(pair.target, Fact.REVERSE_DIALBACK)
            return known == "survives" and core.may_ask_for(pair)
        return (
            isinstance(core, InitiatingStream)
            and core.may_ask_for(pair)
            and self._bears_others(core, pair.target)
            and len(core.grants.send) < PAIRS_PER_STREAM
        )

    def _bears_others(self, core: InitiatingStream, domain: str) -> bool:
        """Whether the peer is known to bear several pairs on one stream, this domain's too."""
        return self._is_promised(core) and not any(
            self._takes_it_badly(each) for each in (core.remote, domain)
        )

    def _is_promised(self, core: InitiatingStream) -> bool:
        known = self._memory.recall(core.remote, Fact.MULTIPLEX)
        return known == "works" or (known is None and core.offers.promise_sharing())

    def _takes_it_badly(self, domain: str) -> bool:
        return self._memory.recall(domain, Fact.MULTIPLEX) in ("untried", "refused", "misroutes")

    def _asks_no_less(self, connection: Connection, pair: DomainPair) -> bool:
        """Whether our proof would be as good there as on a connection of the pair's own."""
        core = connection.core
        if not isinstance(core, InitiatingStream) or core.mechanism != "external":
            return True
        return self._proves_no_less(core.local, pair.sender)

    def _proves_no_less(self, shown: str, sender: str) -> bool:
        """A certificate of the sender's own proves more than dialback on somebody else's stream."""
        return self._certificates.shows(shown, sender) or (
            not self._certificates.has_certificate(sender)
        )

    def _leads_there(self, connection: Connection, domain: str, places: Collection[Place]) -> bool:
        """DBK-27, BIDI-20: the same server, by what it is for, its place or its certificate.

        What the peer proved of itself on a stream of ours holds for that pair alone.
        """
        core = connection.core
        if domain not in core.policy.perspective.theirs:
            return False  # a stream to a server behind us leads nowhere else, wherever that is
        if isinstance(core, InitiatingStream):
            is_for = core.targets
        else:
            is_for = {proved.target for proved in core.grants.send}
        if domain in is_for:
            return True
        return connection.peer in places or core.evidence.proves(domain).valid


def _number(connection: Connection) -> int:
    return connection.number
