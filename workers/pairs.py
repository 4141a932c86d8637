"""For each pair that leaves on streams between servers: those it may use, dials, and the backlog.

Owns the tables and the choice among streams. Granting is the acceptors', dialling `routing`'s.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from router.config import Limits
from router.wire.frames import StreamId
from router.wire.shard import shard_of
from router.xmpp.grants import EXPRESS
from router.xmpp.pair import DomainPair
from workers.backlog import Backlog, Queued, Room

REDIAL_S: Final = 1.0


def _in_order(stream: StreamId) -> tuple[str, int]:
    return stream.acceptor, stream.number


@dataclass(frozen=True, slots=True)
class Grant:
    """What is known of a stream that may carry a pair: who opened it, and how it was proved."""

    initiated: bool
    mechanism: str


@dataclass(slots=True)
class PairRoutes:
    """What one pair has. `settle_at_s`: when to look whether one of two connections may go.

    `redial_at_s`: when to dial once more for what waits.
    """

    backlog: Backlog
    granted: dict[StreamId, Grant] = field(default_factory=dict)
    in_use: StreamId | None = None
    settle_at_s: float | None = None
    redial_at_s: float | None = None
    dialling: set[str] = field(default_factory=set)

    def stream(self) -> StreamId | None:
        """The stream new lanes leave on: the one in use until it is revoked, else the lowest.

        One stream at a time (RFC 6120 §10.1); any open one, a peer's bidi stream included, before
        a new connection (XEP-0288 §1); an express lane before all of them.
        """
        if self.in_use is None and self.granted:
            self.in_use = min(self.carrying(), key=_in_order)
        return self.in_use

    def carrying(self) -> frozenset[StreamId]:
        """The streams that lanes may begin on: express lanes, else all that are granted."""
        express = (s for s, grant in self.granted.items() if grant.mechanism == EXPRESS)
        return frozenset(express) or frozenset(self.granted)

    def passed_over(self) -> frozenset[StreamId]:
        """The streams that lanes are to leave, since there is an express lane; it is in use now."""
        carrying = self.carrying()
        if self.in_use not in carrying:
            self.in_use = None
        return frozenset(self.granted) - carrying

    def redial_later(self, now: float) -> float:
        """Dial once more in a moment; when."""
        self.redial_at_s = now + REDIAL_S
        return self.redial_at_s

    def is_redial_due(self, now: float) -> bool:
        """Whether to dial once more for what waits; said once."""
        if self.redial_at_s is None or self.redial_at_s > now:
            return False
        self.redial_at_s = None
        return bool(self.backlog) and not self.dialling

    def revoke(self, stream: StreamId) -> None:
        """The stream carries the pair no more."""
        self.granted.pop(stream, None)
        if self.in_use == stream:
            self.in_use = None

    def initiated(self) -> StreamId | None:
        """The lowest granted stream on a connection that we opened."""
        ours = [s for s, g in self.granted.items() if g.initiated and g.mechanism != EXPRESS]
        return min(ours, key=_in_order, default=None)

    def surplus(self) -> StreamId | None:
        """The connection of ours that one of the peer's makes superfluous, after a double dial.

        Both must be proved by certificate: dialback needs one in each direction (XEP-0220 §2.1).
        """
        external = {s: g.initiated for s, g in self.granted.items() if g.mechanism == "external"}
        if set(external.values()) != {True, False}:
            return None
        return max((stream for stream, ours in external.items() if ours), key=_in_order)

    @property
    def is_idle(self) -> bool:
        """Nothing left to remember."""
        return not (self.granted or self.dialling or self.backlog)


class Pairs:
    """All pairs of the worker's shards of which there is anything to remember."""

    def __init__(self, limits: Limits, room: Room) -> None:
        self._limits = limits
        self._room = room
        self._pairs: dict[DomainPair, PairRoutes] = {}

    def __iter__(self) -> Iterator[tuple[DomainPair, PairRoutes]]:
        return iter(list(self._pairs.items()))

    def find(self, pair: DomainPair) -> PairRoutes | None:
        """What the pair has, if anything."""
        return self._pairs.get(pair)

    def get(self, pair: DomainPair) -> PairRoutes:
        """What the pair has; it shall have something afterwards."""
        routes = self._pairs.get(pair)
        if routes is None:
            routes = self._pairs[pair] = PairRoutes(Backlog(self._limits, self._room))
        return routes

    def forget_if_idle(self, pair: DomainPair) -> None:
        """Call after anything was taken from the pair."""
        if (routes := self._pairs.get(pair)) is not None and routes.is_idle:
            del self._pairs[pair]

    def acceptor_gone(self, acceptor: str) -> None:
        """Its streams and dials went with it."""
        for pair, routes in self:
            for stream in [stream for stream in routes.granted if stream.acceptor == acceptor]:
                routes.revoke(stream)
            routes.dialling.discard(acceptor)
            self.forget_if_idle(pair)

    def shards_lost(self, shards: Collection[int]) -> None:
        """Forget their pairs; owners send the backlog's runs to the next worker."""
        for pair in [pair for pair in self._pairs if shard_of(*pair) in shards]:
            self._pairs.pop(pair).backlog.take_all()

    def reload(self, limits: Limits) -> None:
        """Other bounds hold for the queues of pairs that have nothing yet."""
        self._limits = limits

    def disowned(self, is_ours: Callable[[DomainPair], bool]) -> list[Queued]:
        """What waits for a stream for a pair that is not ours."""
        taken: list[Queued] = []
        for pair, routes in self:
            if not is_ours(pair):
                taken += routes.backlog.take_all()
                self.forget_if_idle(pair)
        return taken

    def expires_s(self) -> float | None:
        """When a run has waited too long, or a pair is to be settled or dialled; None: never."""
        times = [
            time
            for routes in self._pairs.values()
            for time in (routes.backlog.expires_s(), routes.settle_at_s, routes.redial_at_s)
        ]
        return min((time for time in times if time is not None), default=None)

    def rows(self) -> tuple[dict[str, object], ...]:
        """To show: one row a pair."""
        return tuple(
            {
                "local": pair.sender,
                "remote": pair.target,
                "stream": _text(routes.in_use) if routes.in_use is not None else None,
                "streams": [_text(each) for each in sorted(routes.granted, key=_in_order)],
                "dialling": sorted(routes.dialling),
                "backlog_stanzas": routes.backlog.stanzas,
                "backlog_bytes": routes.backlog.octets,
            }
            for pair, routes in self._pairs.items()
        )


def _text(stream: StreamId) -> str:
    return f"{stream.acceptor}/{stream.number}"
