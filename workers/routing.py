"""The decisions of one worker: which stream each run of stanzas leaves on, or why on none.

Pure: frames and time come in, frames for acceptors go out; see `Routing._route` first. Owns no
stanza (the acceptors keep them) and makes no bounce (their owners do). Called by `process`.
"""

from collections.abc import Collection, Container, Mapping
from typing import Final

from router.config import Limits
from router.wire.frames import (
    Announced,
    Attach,
    AttachAnswer,
    Attached,
    Data,
    Detached,
    Dial,
    DialFailed,
    Dialling,
    Frame,
    Granted,
    Joined,
    Release,
    Retire,
    Revoked,
    StreamId,
    Verify,
    VerifyKey,
)
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from workers.backlog import Queued, Room
from workers.dialling import dialler
from workers.grace import Grace
from workers.hosted import Attachments
from workers.lanes import Epoch, Lanes
from workers.outbox import Outbox, Send
from workers.pairs import Grant, PairRoutes, Pairs
from workers.shards import Early, Shards

# A peer that settles a double dial by closing its own connection does so within the first second:
# Metre at once, a Causeway whose domain is the higher one after SETTLE_FIRST_S.
SETTLE_FIRST_S: Final = 1.0
SETTLE_SECOND_S: Final = 5.0

_NOT_ATTACHED: Final = StanzaError.of("remote-server-timeout", "not attached")
_NO_STREAM_IN_TIME: Final = StanzaError.of("remote-server-timeout", "no stream in time")
_QUEUE_FULL: Final = StanzaError.of("resource-constraint", "too much waits for this domain")
_NOT_OURS: Final = StanzaError.of("remote-server-not-found", "neither domain is hosted here")


class Routing:
    """The tables and rules of one worker. `now` is seconds on the caller's clock.

    What each call returns is to be sent in that order. `hosted` come to us (`hosted.attaching`), to
    the `servers` behind us we go as to remote ones.
    """

    def __init__(
        self, hosted: frozenset[str], limits: Limits, servers: Container[str] = frozenset()
    ) -> None:
        self._attachments = Attachments(hosted, servers)
        self._room = Room()
        self._grace = Grace(hosted, limits, self._room)
        self._pairs = Pairs(limits, self._room)
        self._lanes = Lanes()
        self._out = Outbox(self._lanes)
        self._shards = Shards(self._room)
        self._retiring: frozenset[str] = frozenset()
        self._version = -1
        self._deadline: float | None = None

    # --- what happens ---

    def membership(
        self,
        version: int,
        acceptors: Collection[str],
        owned: Mapping[int, int],
        now: float,
        retiring: Collection[str] = (),
    ) -> list[Send]:
        """Who is here, and shard → generation of the shards that are ours.

        An acceptor that is not here any more took its streams, lanes and dials with it. Those that
        are `retiring` are asked for no more dials.
        """
        if version <= self._version:
            return []
        self._version = version
        gone = self._out.acceptors.difference(acceptors)
        self._out.acceptors = frozenset(acceptors)
        self._retiring = frozenset(retiring)
        lost = self._shards.membership(version, acceptors, owned)
        self._pairs.shards_lost(lost)
        self._lanes.shards_lost(lost)
        self._attachments.shards_lost(lost)
        self._grace.shards_lost(lost)
        self._grace.begin(now)
        for acceptor in gone:
            self._shards.acceptor_gone(acceptor)
            self._pairs.acceptor_gone(acceptor)
            self._out.return_lanes(acceptor)
            for domain in self._attachments.acceptor_gone(acceptor):
                self._grace.left(domain, now)
        for acceptor in sorted(acceptors):
            self._out.send(acceptor, Joined(version))
        for pair, routes in self._pairs:
            if routes.backlog and not routes.dialling:
                self._dial(pair)
        self._route_early(now)
        return self._out.take()

    def receive(self, source: str, frame: Frame, now: float) -> list[Send]:
        """A frame came from this acceptor; one that is gone is not heard any more."""
        if source not in self._out.acceptors:
            return []
        match frame:
            case Data():
                self._data(source, frame, now)
            case Granted():
                self._granted(source, frame, now)
            case Revoked():
                self._revoked(source, frame)
            case Dialling():
                if self._owns(frame.pair):
                    self._pairs.get(frame.pair).dialling.add(source)
            case DialFailed():
                self._dial_failed(source, frame, now)
            case Verify() | Attach():
                self._asked(source, frame)
            case Attached():
                self._attachments.attach(frame.domain, StreamId(source, frame.stream))
                self._route_all(self._grace.take(frame.domain), now)
            case Detached():
                stream = StreamId(source, frame.stream)
                if self._attachments.detach(frame.domain, stream):
                    self._grace.left(frame.domain, now)
                self._lanes.end_attachment(stream)
            case Announced():
                self._shards.announced(source, frame.version)
                self._route_early(now)
        return self._out.take()

    def deadline(self) -> float | None:
        """When to call `deadline_passed`; None while nothing waits."""
        return self._deadline

    def deadline_passed(self, now: float) -> list[Send]:
        """Refuse what has waited too long (RFC 6120 §8.3.3.17); settle double dials."""
        for pair, routes in self._pairs:
            if routes.settle_at_s is not None and routes.settle_at_s <= now:
                self._settle(pair, routes)
            for queued in routes.backlog.take_expired(now):
                self._out.reject(queued.source, queued.data, _NO_STREAM_IN_TIME)
            if routes.is_redial_due(now):
                self._dial(pair)
            self._pairs.forget_if_idle(pair)
        for queued in self._grace.take_expired(now):
            self._out.reject(queued.source, queued.data, _NOT_ATTACHED)
        due = (self._pairs.expires_s(), self._grace.expires_s())
        self._deadline = min((at for at in due if at is not None), default=None)
        return self._out.take()

    def reload(
        self,
        hosted: frozenset[str],
        limits: Limits,
        now: float,
        servers: Container[str] = frozenset(),
    ) -> list[Send]:
        """The configuration is another one: these domains are ours now, these limits hold.

        What waits for or from a domain that is not ours any more goes back.
        """
        self._attachments.reload(hosted, servers)
        self._pairs.reload(limits)
        disowned = self._pairs.disowned(self._attachments.is_ours)
        for queued in (*self._grace.reload(hosted, limits, now), *disowned):
            self._out.reject(queued.source, queued.data, _NOT_OURS)
        return self._out.take()

    def drain(self, now: float) -> list[Send]:
        """The node is about to end: no hosted domain that is away will be back."""
        self._attachments.end()
        self._grace.end()
        return self.deadline_passed(now)

    def _wake_at(self, at_s: float) -> None:
        if self._deadline is None or at_s < self._deadline:
            self._deadline = at_s

    def queue_bytes(self) -> int:
        """Octets that wait here, for a stream or for announcements."""
        return self._room.used_bytes

    def rows(self) -> tuple[dict[str, object], ...]:
        """To show: one row for each pair that has a stream, a dial or a backlog."""
        return self._pairs.rows()

    # --- stanzas ---

    def _data(self, source: str, data: Data, now: float) -> None:
        shard = shard_of(*data.pair)
        if self._shards.generation(shard) != data.generation:
            return  # not ours, or of an older lease: the owner sends it to whose it is
        if self._shards.is_routed(shard):
            self._route(source, data, now)
        elif not self._shards.wait(shard, Early(source, data)):
            self._epoch(source, data)
            self._out.reject(source, data, _QUEUE_FULL)

    def _route(self, source: str, data: Data, now: float) -> None:
        """Which stream may this run leave on? All of the decision, in order of precedence."""
        lane = (source, data.lane)
        epoch = self._epoch(source, data)
        if epoch is None or epoch.is_over:
            return  # returned to its owner, who sends it again in a new epoch
        if epoch.stream is None:
            if data.egress is not None and not self._carries(data.egress, data.pair):
                epoch.is_over = True  # that stream's acceptor returns the epoch
                return
            stream = data.egress or self._stream(data.pair)
            if stream is None:
                self._without_stream(source, data, now)
                return
            if epoch.is_refused:
                epoch.is_over = True
                self._out.give_back(source, data)
                return
            self._lanes.bind(lane, stream)
        else:
            stream = epoch.stream
        self._out.forward(source, data, stream, epoch)

    def _epoch(self, source: str, data: Data) -> Epoch | None:
        """The record of the run's epoch, begun if it is new; None for one long replaced."""
        key = (source, data.lane)
        epoch = self._lanes.find(key)
        if epoch is not None and epoch.number >= data.epoch:
            return epoch if epoch.number == data.epoch else None
        if epoch is not None and (routes := self._pairs.find(data.pair)) is not None:
            routes.backlog.discard(source, data.lane)
        self._grace.discard(data.pair, source, data.lane)
        return self._lanes.begin(key, data.pair, data.epoch)

    def _carries(self, stream: StreamId, pair: DomainPair) -> bool:
        """Whether the pair may leave on this stream now; if so, new lanes follow it."""
        if self._attachments.is_hosted(pair.target):
            return self._attachments.stream(pair.target) == stream
        routes = self._pairs.find(pair)
        if routes is None or stream not in routes.carrying():
            return False
        if routes.in_use is None:
            routes.in_use = stream
        return True

    def _stream(self, pair: DomainPair) -> StreamId | None:
        """The stream for lanes of this pair that have none yet."""
        if self._attachments.is_hosted(pair.target):
            return self._attachments.stream(pair.target)
        routes = self._pairs.find(pair)
        return None if routes is None else routes.stream()

    def _without_stream(self, source: str, data: Data, now: float) -> None:
        if self._attachments.is_hosted(data.pair.target):
            self._while_away(source, data, now)
        elif not self._attachments.is_ours(data.pair):
            self._out.reject(source, data, _NOT_OURS)
        else:
            self._queue(source, data, now)

    def _while_away(self, source: str, data: Data, now: float) -> None:
        """CMP-06: the domain may be back in a moment."""
        if self._grace.is_over(data.pair.target, now):
            self._out.reject(source, data, _NOT_ATTACHED)
        elif not self._grace.wait(source, data, now):
            self._out.reject(source, data, _QUEUE_FULL)
        elif (expires_s := self._grace.expires_s()) is not None:
            self._wake_at(expires_s)

    def _queue(self, source: str, data: Data, now: float) -> None:
        routes = self._pairs.get(data.pair)
        if not routes.backlog.append(source, data, now):
            self._out.reject(source, data, _QUEUE_FULL)
            self._pairs.forget_if_idle(data.pair)
            return
        if (expires_s := routes.backlog.expires_s()) is not None:
            self._wake_at(expires_s)
        if not routes.dialling and routes.redial_at_s is None:
            self._dial(data.pair)

    def _route_early(self, now: float) -> None:
        for source, frame in list(self._shards.take_early()):
            if isinstance(frame, Data):
                self._route(source, frame, now)
            else:
                self._answer(source, frame)

    # --- streams and dials of a pair ---

    def _granted(self, source: str, frame: Granted, now: float) -> None:
        if not self._owns(frame.pair):
            return
        routes = self._pairs.get(frame.pair)
        routes.granted[StreamId(source, frame.stream)] = Grant(frame.initiated, frame.mechanism)
        routes.dialling.discard(source)
        for passed in sorted(routes.passed_over(), key=str):
            self._lanes.end(passed, frame.pair)
            self._out.send(passed.acceptor, Release(passed.number, frame.pair))
        if routes.surplus() is not None and routes.settle_at_s is None:
            is_first = frame.pair.target < frame.pair.sender
            routes.settle_at_s = now + (SETTLE_FIRST_S if is_first else SETTLE_SECOND_S)
            self._wake_at(routes.settle_at_s)
        self._route_all(routes.backlog.take_all(), now)

    def _route_all(self, runs: list[Queued], now: float) -> None:
        for queued in runs:
            self._route(queued.source, queued.data, now)

    def _settle(self, pair: DomainPair, routes: PairRoutes) -> None:
        """Close our connection of two that serve the pair, unless one is gone by now.

        BIDI-22. Its lanes move when the acceptor returns them, which is after the peer's closing
        tag: by then the peer has read all of it, so nothing is overtaken (RFC 6120 §10.1).
        """
        routes.settle_at_s = None
        surplus = routes.surplus()
        if surplus is not None:
            self._lanes.end(surplus, pair)
            routes.revoke(surplus)
            self._out.send(surplus.acceptor, Retire(surplus.number, pair))

    def _revoked(self, source: str, frame: Revoked) -> None:
        stream = StreamId(source, frame.stream)
        self._lanes.end(stream, frame.pair)
        if (routes := self._pairs.find(frame.pair)) is not None:
            routes.revoke(stream)
            self._pairs.forget_if_idle(frame.pair)

    def _dial(self, pair: DomainPair) -> None:
        """Have the domain's acceptor open a stream, or find room on one it has."""
        acceptor = self._dialler(pair.target)
        if acceptor is not None:
            self._pairs.get(pair).dialling.add(acceptor)
            self._out.send(acceptor, Dial(pair))

    def _dialler(self, domain: str) -> str | None:
        return dialler(domain, self._out.acceptors, self._retiring)

    def _dial_failed(self, source: str, frame: DialFailed, now: float) -> None:
        routes = self._pairs.find(frame.pair)
        if routes is None:
            return
        routes.dialling.discard(source)
        if source in self._retiring and self._dialler(frame.pair.target) != source:
            if routes.backlog and not routes.dialling:
                self._dial(frame.pair)  # it dials no more, which says nothing of the peer
        elif not routes.dialling and self._attachments.may_be_back(frame):
            self._wake_at(routes.redial_later(now))
        elif not routes.dialling:
            error = StanzaError(frame.condition, frame.type, frame.text)
            for queued in routes.backlog.take_all():
                self._out.reject(queued.source, queued.data, error)
        self._pairs.forget_if_idle(frame.pair)

    # --- questions ---

    def _asked(self, source: str, frame: Verify | Attach) -> None:
        domains = frame.pair if isinstance(frame, Verify) else (frame.domain, frame.domain)
        shard = shard_of(*domains)
        if self._shards.is_routed(shard):
            self._answer(source, frame)
        elif self._shards.generation(shard) is not None:
            self._shards.wait(shard, Early(source, frame))  # no room: its deadline passes there

    def _answer(self, source: str, frame: Verify | Attach) -> None:
        if isinstance(frame, Verify):
            key = VerifyKey(source, frame.request, frame.pair, frame.stream_id, frame.key)
            self._out.send(self._verifier(frame.pair) or source, key)
        else:
            is_free = self._attachments.reserve(frame.domain, StreamId(source, frame.stream))
            self._out.send(source, AttachAnswer(frame.request, is_free))

    def _verifier(self, pair: DomainPair) -> str | None:
        """Who sends the db:verify: where our own connection to the sender domain is, or will be.

        XEP-0220 §2.1.2; XEP-0288 §2.2: never a connection that the peer opened.
        """
        routes = self._pairs.find(pair.inverse())
        if routes is not None and (ours := routes.initiated()) is not None:
            return ours.acceptor
        # No dial to be waited for: it may ask on a stream of another pair's to that domain.
        under_way = routes.dialling if routes is not None else ()
        return min(under_way, default=None) or self._dialler(pair.sender)

    def _owns(self, pair: DomainPair) -> bool:
        return self._shards.generation(shard_of(*pair)) is not None
