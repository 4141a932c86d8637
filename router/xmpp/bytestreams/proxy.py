"""The proxy role of XEP-0065: who may use it, connections held by hash, pairs that are linked.

Pure. The acceptor runs `socks5.Socks5Server` on each connection, numbers it, asks `hold` whether to
accept it, hands in what happens on it and does the `relay.Action`s. Addresses that may know nothing
of the service at all are the caller's to turn away; to those that may, a ban is told (PRX-01).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from router.xmpp.bytestreams.relay import Action, Disconnect, Relay
from router.xmpp.bytestreams.socks5 import dstaddr
from router.xmpp.bytestreams.streamhost import Activate, StreamHost, parse_request
from router.xmpp.errors import StanzaError
from router.xmpp.stanza import Stanza, bounce, result


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """How many connections and pairs there may be, and for how long unlinked."""

    max_held: int = 256
    """Connections that wait for their activation, in all."""
    max_held_per_address: int = 16
    """The same, of one network address."""
    held_s: float = 60.0
    max_pairs: int = 256
    max_pairs_per_requester: int = 8
    """Of one bare address in XMPP."""


@dataclass(frozen=True, slots=True)
class Link:
    """A question: both connections are there to be linked; answer with `linked` or `not_linked`."""

    stanza: Stanza
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class _Held:
    dstaddr: str
    address: str
    until: float


DEFAULT_LIMITS: Final = ProxyLimits()
_BANNED: Final = StanzaError.of("forbidden")
_DISABLED: Final = StanzaError.of("not-allowed", "not a proxy now")
_ONE_SIDE: Final = StanzaError.of("not-allowed", "one side is not connected")
_NOT_THE_REQUESTER: Final = StanzaError.of("item-not-found", "the other side activates")
_NO_SUCH_HASH: Final = StanzaError.of("not-authorized")
_TOO_MANY: Final = StanzaError.of("resource-constraint", "too many bytestreams")
_INTERNAL: Final = StanzaError.of("internal-server-error")


class ProxyRole:
    """All connections to the proxy, from their SOCKS5 request to their end.

    Without a `streamhost` it is no proxy. `may_use` says which addresses may.
    """

    def __init__(
        self,
        streamhost: StreamHost | None,
        may_use: Callable[[str], bool],
        limits: ProxyLimits = DEFAULT_LIMITS,
    ) -> None:
        self._streamhost = streamhost
        self._may_use = may_use
        self._limits = limits
        self._held: dict[int, _Held] = {}
        self._by_dstaddr: dict[str, list[int]] = {}
        self._by_address: Counter[str] = Counter()
        self._relays: dict[int, Relay] = {}
        self._requesters: dict[Relay, str] = {}
        self._by_requester: Counter[str] = Counter()
        self._relayed_bytes = 0

    # --- stanzas ---

    def receive(self, stanza: Stanza, query: Element) -> bytes | Link:
        """An iq get or set with a `<query/>` of XEP-0065 for us: the answer, or what to do."""
        sender = stanza.attributes["from"]
        if not self._may_use(sender):
            return bounce(stanza, _BANNED)
        if self._streamhost is None:
            return bounce(stanza, _DISABLED)
        asked = parse_request(query, stanza.attributes.get("type", ""))
        if isinstance(asked, StanzaError):
            return bounce(stanza, asked)
        if isinstance(asked, Activate):
            found = self._activate(stanza, asked)
            return bounce(stanza, found) if isinstance(found, StanzaError) else found
        return result(stanza, self._streamhost.element())

    def _activate(self, stanza: Stanza, asked: Activate) -> Link | StanzaError:
        """XEP-0065 §6.3.5: the hash of sid, sender and target must be that of a held pair."""
        requester = stanza.attributes["from"]
        held = self._by_dstaddr.get(dstaddr(asked.sid, requester, asked.target), [])
        if not held:
            reversed_hash = dstaddr(asked.sid, asked.target, requester)
            return _NOT_THE_REQUESTER if reversed_hash in self._by_dstaddr else _NO_SUCH_HASH
        if len(held) < 2:
            return _ONE_SIDE
        limits, pairs = self._limits, self._by_requester[_bare(requester)]
        if len(self._requesters) >= limits.max_pairs or pairs >= limits.max_pairs_per_requester:
            return _TOO_MANY
        return Link(stanza, *held)

    def linked(self, link: Link) -> bytes:
        """The connections are linked from here on: the result to send."""
        for connection in (link.first, link.second):
            self._release(connection)
        relay, requester = Relay(link.first, link.second), _bare(link.stanza.attributes["from"])
        self._relays[link.first] = self._relays[link.second] = relay
        self._requesters[relay] = requester
        self._by_requester[requester] += 1
        return result(link.stanza)

    def not_linked(self, link: Link) -> bytes:
        """They could not be: the error to send. Both go on being held."""
        return bounce(link.stanza, _INTERNAL)

    # --- connections ---

    def hold(self, connection: int, dstaddr: str, address: str, now: float) -> bool:
        """Whether to accept a connection for this hash; at most two are held for one (PRX-02)."""
        limits, same = self._limits, self._by_dstaddr.get(dstaddr, [])
        if (
            self._streamhost is None
            or len(same) >= 2
            or len(self._held) >= limits.max_held
            or self._by_address[address] >= limits.max_held_per_address
        ):
            return False
        self._held[connection] = _Held(dstaddr, address, now + limits.held_s)
        self._by_dstaddr.setdefault(dstaddr, []).append(connection)
        self._by_address[address] += 1
        return True

    def received(self, connection: int, octets: bytes) -> list[Action]:
        """Octets of this connection; before its activation they count for nothing (PRX-02)."""
        relay = self._relays.get(connection)
        if relay is None:
            return []
        self._relayed_bytes += len(octets)
        return relay.received(connection, octets)

    def ended(self, connection: int) -> list[Action]:
        """The connection will bring no more. One that is held is of no use then."""
        relay = self._relays.get(connection)
        if relay is None:
            self._release(connection)
            return [Disconnect(connection)]
        return self._forget_if_over(relay, relay.ended(connection))

    def lost(self, connection: int) -> list[Action]:
        """The connection is gone."""
        relay = self._relays.get(connection)
        if relay is None:
            self._release(connection)
            return []
        return self._forget_if_over(relay, relay.lost(connection))

    def full(self, connection: int) -> list[Action]:
        """What is to be written on it piles up."""
        relay = self._relays.get(connection)
        return relay.full(connection) if relay is not None else []

    def drained(self, connection: int) -> list[Action]:
        """It no longer does."""
        relay = self._relays.get(connection)
        return relay.drained(connection) if relay is not None else []

    # --- time and numbers ---

    def deadline(self) -> float | None:
        """When to call `expire`."""
        return min((held.until for held in self._held.values()), default=None)

    def expire(self, now: float) -> list[Action]:
        """Close what has been held without activation for long enough (PRX-04)."""
        late = [connection for connection, held in self._held.items() if held.until <= now]
        for connection in late:
            self._release(connection)
        return [Disconnect(connection) for connection in late]

    @property
    def held(self) -> int:
        """Connections that wait for their activation."""
        return len(self._held)

    @property
    def pairs(self) -> int:
        """Linked bytestreams."""
        return len(self._requesters)

    @property
    def relayed_bytes(self) -> int:
        """Octets relayed since the start, both directions of all bytestreams."""
        return self._relayed_bytes

    def _release(self, connection: int) -> None:
        held = self._held.pop(connection, None)
        if held is None:
            return
        _subtract(self._by_address, held.address)
        same = self._by_dstaddr[held.dstaddr]
        same.remove(connection)
        if not same:
            del self._by_dstaddr[held.dstaddr]

    def _forget_if_over(self, relay: Relay, actions: list[Action]) -> list[Action]:
        if relay.is_over:
            _subtract(self._by_requester, self._requesters.pop(relay))
            for connection in relay.connections():
                del self._relays[connection]
        return actions


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _subtract(counts: Counter[str], key: str) -> None:
    """One less; a count of zero takes no memory."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
