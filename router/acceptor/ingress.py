"""From streams to shards: every run is kept, sent on, and counted once its outcome is known.

Owns the acceptor's half of responsibility: retention (`router.wire.owner`), bounces, what the
router answers for itself, conservation counts, and pausing of streams whose stanzas pile up. Called
by the acceptor.
"""

from collections.abc import Callable, Collection, Iterable

from router.acceptor.connection import Connection
from router.metrics import Counters
from router.wire.frames import Data, Ended, Frame, Progress, Reject, Returned
from router.wire.owner import Answer, Lane, Owner, Resolved
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.service import answer_to
from router.xmpp.stanza import Counts, bounce, cut, may_bounce


class Ingress:
    """All lanes that begin at this acceptor; `window_bytes` bounds what a stream may have open.

    Stanzas for the domain `service` are answered here, those for others are routed.
    """

    def __init__(
        self,
        owner: Owner,
        counters: Counters,
        window_bytes: int,
        *,
        to_shard: Callable[[int, Frame], None],
        to_acceptor: Callable[[str, Frame], None],
        service: str = "",
    ) -> None:
        self._owner = owner
        self._counters = counters
        self._window_bytes = window_bytes
        self._to_shard = to_shard
        self._to_acceptor = to_acceptor
        self._streams: dict[int, Connection] = {}
        self._service = service
        self._lanes: dict[int, dict[DomainPair, Lane]] = {}  # by stream
        self._own_lanes: dict[tuple[int | None, DomainPair], Lane] = {}
        self._askers: dict[int, int] = {}  # lane of our answers → stream that pays for its room

    # --- in ---

    def run_received(
        self, connection: Connection, pair: DomainPair, counts: Counts, octets: bytes
    ) -> None:
        """Stanzas of an authorised pair arrived: take responsibility, then route them."""
        if pair.target == self._service:
            self._answer(connection, pair, octets)
        else:
            self._keep(connection, self._lane(connection, pair), counts, octets)
        # Counted when it is on its way: the stanza waits for the sum, not the sum for the stanza.
        self._count("in", connection.leg, counts, len(octets))
        connection.stanzas_in += counts.total

    def _keep(self, connection: Connection, lane: Lane, counts: Counts, octets: bytes) -> None:
        """Send on what is kept at this stream's expense."""
        frame = self._owner.append(lane, counts, octets)
        connection.kept_bytes += len(octets)
        if connection.kept_bytes > self._window_bytes:
            connection.pause_reading()
        self._to_shard(lane.shard, frame)

    def stanza_refused(
        self, connection: Connection, pair: DomainPair, octets: bytes, error: StanzaError
    ) -> None:
        """One stanza is answered at once: in, and bounced (or not, RFC 6120 §8.3.1)."""
        stanza = next(cut(octets))
        self._count("in", connection.leg, Counts.one(stanza.kind), len(octets))
        connection.stanzas_in += 1
        self._bounce(pair, octets, error, is_ours=False)

    def _lane(self, connection: Connection, pair: DomainPair) -> Lane:
        lanes = self._lanes.get(connection.number)
        if lanes is None:
            self._streams[connection.number] = connection
            lanes = self._lanes[connection.number] = {}
        lane = lanes.get(pair)
        if lane is None:
            lane = lanes[pair] = self._owner.open(pair, connection.number)
        return lane

    def stream_gone(self, connection: Connection) -> None:
        """No more will come on this stream; its lanes end when all they hold is resolved."""
        self._streams.pop(connection.number, None)
        for lane in self._lanes.pop(connection.number, {}).values():
            self._end_if_over(lane)

    def _end_if_over(self, lane: Lane) -> None:
        if self._owner.close(lane) and lane.egress is not None:
            self._to_acceptor(lane.egress.acceptor, Ended(lane.number))

    # --- what became of it ---

    def progress(self, source: str, frame: Progress) -> None:
        """An egress acceptor reports."""
        self._settle(self._owner.progress(source, frame))

    def rejected(self, frame: Reject) -> None:
        """A worker found no way."""
        self._settle(self._owner.rejected(frame))

    def returned(self, frame: Returned) -> None:
        """An egress stream ended."""
        self._settle(self._owner.returned(frame))

    def acceptor_gone(self, acceptor: str, shards: Collection[int]) -> None:
        """An acceptor of this node died, and the workers of these shards know it."""
        for answer in self._owner.acceptor_gone(acceptor, shards):
            self._settle(answer)

    def replay(self, shards: Iterable[int]) -> None:
        """Shards have a new owner, which must see what nobody has taken yet."""
        self._send(self._owner.replay(shards))

    def _settle(self, answer: Answer) -> None:
        for resolved in answer.resolved:
            self._resolved(resolved)
        self._send(answer.again)

    def _send(self, frames: Iterable[Data]) -> None:
        for frame in list(frames):
            self._to_shard(shard_of(*frame.pair), frame)

    def _resolved(self, resolved: Resolved) -> None:
        lane = resolved.lane
        is_ours = lane.stream is None
        payer = self._askers.get(lane.number, lane.stream)
        for run in resolved.runs:
            self._release(payer, len(run.octets))
            if resolved.error is not None:
                self._bounce(lane.pair, run.octets, resolved.error, is_ours=is_ours)
            elif not is_ours:
                self._counters.add("causeway_stanza_outcomes_total", "handed", by=run.counts.total)
        if is_ours and not lane.kept:
            self._own_lanes.pop((self._askers.pop(lane.number, None), lane.pair), None)
            self._end_if_over(lane)
        elif not (lane.ingress_open or lane.kept) and lane.egress is not None:
            self._to_acceptor(lane.egress.acceptor, Ended(lane.number))

    def _release(self, stream: int | None, amount: int) -> None:
        connection = self._streams.get(stream) if stream is not None else None
        if connection is not None:
            connection.kept_bytes -= amount
            if connection.kept_bytes <= self._window_bytes // 2:
                connection.resume_reading()

    def _bounce(self, pair: DomainPair, octets: bytes, error: StanzaError, is_ours: bool) -> None:
        """Answer each stanza with an error on the way back, where one may be answered.

        What we made ourselves is of type error, so it ends here, uncounted.
        """
        if is_ours:
            return
        counts, answers = Counts(0, 0, 0), []
        unbounceable = 0
        for stanza in cut(octets):
            if may_bounce(stanza):
                answers.append(bounce(stanza, error))
                counts += Counts.one(stanza.kind)
            else:
                unbounceable += 1
        self._counters.add("causeway_stanza_outcomes_total", "unbounceable", by=unbounceable)
        if not answers:
            return
        self._counters.add("causeway_stanza_outcomes_total", "bounced", by=counts.total)
        lane = self._own_lane(None, pair.inverse())
        self._to_shard(lane.shard, self._owner.append(lane, counts, b"".join(answers)))

    def _answer(self, connection: Connection, pair: DomainPair, octets: bytes) -> None:
        """Answer stanzas for the router itself; who does not read the answers is not read either.

        A refusal is a bounce, everything else, silence included, is an answer.
        """
        counts, answers, refusals, total = Counts(0, 0, 0), [], 0, 0
        for stanza in cut(octets):
            total += 1
            reply = answer_to(stanza)
            refusals += reply.is_refusal
            if reply.octets is not None:
                answers.append(reply.octets)
                counts += Counts.one(stanza.kind)
        self._counters.add("causeway_stanza_outcomes_total", "bounced", by=refusals)
        self._counters.add("causeway_stanza_outcomes_total", "answered", by=total - refusals)
        if answers:
            self._streams[connection.number] = connection
            lane = self._own_lane(connection.number, pair.inverse())
            self._askers[lane.number] = connection.number
            self._keep(connection, lane, counts, b"".join(answers))

    def _own_lane(self, asker: int | None, pair: DomainPair) -> Lane:
        """A lane for stanzas of our making, as long as there are any on it."""
        key = (asker, pair)
        lane = self._own_lanes.get(key)
        if lane is None:
            lane = self._own_lanes[key] = self._owner.open(pair, None)
        return lane

    # --- figures ---

    def count_sent(self, connection: Connection, counts: Counts, octets: int) -> None:
        """Stanzas were written to a stream."""
        self._count("out", connection.leg, counts, octets)
        if connection.direction == "in" and connection.leg == "s2s":
            self._counters.add("causeway_bidi_reuse_total", by=counts.total)

    def _count(self, direction: str, leg: str, counts: Counts, octets: int) -> None:
        add = self._counters.add
        if counts.messages:
            add("causeway_stanzas_total", "message", leg, direction, by=counts.messages)
        if counts.presences:
            add("causeway_stanzas_total", "presence", leg, direction, by=counts.presences)
        if counts.iqs:
            add("causeway_stanzas_total", "iq", leg, direction, by=counts.iqs)
        add("causeway_bytes_total", leg, direction, by=octets)

    def pending(self) -> int:
        """Stanzas, bounces of ours included, that have no outcome yet."""
        return self._owner.pending()

    def gauges(self) -> None:
        """Bring the gauges up to date."""
        self._counters.set("causeway_stanzas_in_flight", value=self._owner.in_flight())
        self._counters.set("causeway_queue_bytes", value=self._owner.kept_bytes())
