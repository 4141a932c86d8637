"""What a dial teaches about a peer, and how what is known shapes the next one.

Only what was seen to work is evidence: a peer is said to die of bidi when it takes us without. The
facts are kept and shared by `router.peer_memory`. Called by the dialer.
"""

from router.acceptor.connection import Connection
from router.acceptor.dialling.attempts import Approach, Outcome
from router.peer_memory import Fact, PeerMemory
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair


class Findings:
    """Learns into `memory`, and recalls from it."""

    def __init__(self, memory: PeerMemory) -> None:
        self._memory = memory

    def approach(self, pair: DomainPair) -> Approach:
        """How to come to the pair's target, as its sender."""
        domain, local = pair.target, pair.sender
        return Approach(
            bidi=self._memory.recall(domain, Fact.BIDI) != "kills",
            external=self._memory.recall(domain, Fact.EXTERNAL, local) != "refused",
        )

    def opened(self, connection: Connection, first: Approach, approach: Approach) -> None:
        """A stream of ours was accepted when we came as `approach`, having begun with `first`."""
        core = connection.core
        if not isinstance(core, InitiatingStream):
            return
        learn, domain = self._memory.learn, core.remote
        learn(domain, Fact.ERRORS, "yes" if core.offers.errors else "no")
        if (
            not core.offers.promise_sharing()
            and self._memory.recall(domain, Fact.MULTIPLEX) is None
        ):
            learn(domain, Fact.MULTIPLEX, "untried")
        if core.external == "accepted":
            learn(domain, Fact.EXTERNAL, "accepted", core.local)
        elif core.external == "refused" or (first.external and not approach.external):
            learn(domain, Fact.EXTERNAL, "refused", core.local)
        if core.is_bidi:
            learn(domain, Fact.BIDI, "works")
        elif first.bidi and not approach.bidi:
            learn(domain, Fact.BIDI, "kills")

    def asked(self, connection: Connection, pair: DomainPair, outcome: Outcome) -> None:
        """A further pair was asked for on an open stream, and this came of it."""
        core, learn = connection.core, self._memory.learn
        is_accepted, has_died = outcome.error is None, connection.end is not None
        if not outcome.answer and _closed_by_us(connection):
            return  # before the peer could answer: it tells nothing of it
        if not isinstance(core, InitiatingStream):
            survives = is_accepted or (outcome.answer != "" and not has_died)
            value = "survives" if survives else "kills" if has_died else "ignores"
            learn(pair.target, Fact.REVERSE_DIALBACK, value)
        elif is_accepted:
            learn(core.remote, Fact.MULTIPLEX, "works")
        elif outcome.answer != "resource-constraint":  # it has no room now
            learn(pair.target, Fact.MULTIPLEX, "refused")
            if has_died:
                learn(core.remote, Fact.MULTIPLEX, "refused")


def _closed_by_us(connection: Connection) -> bool:
    """Whether we closed the stream, in order and not for anything the peer did."""
    end = connection.end
    return end is not None and not (end.by_peer or end.abrupt or end.condition)
