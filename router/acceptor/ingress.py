"""From streams to shards: every run is kept, sent on, and counted once its outcome is known.

Owns the acceptor's half of responsibility: retention (`router.wire.owner`), bounces, what the
router answers for itself, and conservation counts. Which streams wait when stanzas pile up is
`window`'s to say. Called by the acceptor.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from router.acceptor.connection import Connection
from router.acceptor.streams import SERVICE_LEG
from router.acceptor.window import Window
from router.metrics import Counters
from router.wire.frames import Again, Data, Ended, Frame, Hold, Progress, Reject, Returned
from router.wire.lane import Lane
from router.wire.owner import Answer, Owner, Resolved, Sending
from router.wire.shard import shard_of
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.service import Answer as Reply
from router.xmpp.service import answer_to
from router.xmpp.stanza import Counts, Stanza, bounce, cut, may_bounce

_TRIAL_S: Final = 0.1
_NONE: Final = Counts(0, 0, 0)
_STUCK: Final = StanzaError.of("resource-constraint", "the other side does not read")


class Ingress:
    """All lanes that begin at this acceptor.

    Stanzas for the domain `service` are answered here, those for others are routed; so are those
    that `reply_to` has no answer for, since who has the sessions is to see them. `undelivered` is
    told what comes of stanzas of ours that find no way. Whether a domain gets one more error is
    `may_bounce_to`'s to say.
    """

    def __init__(
        self,
        owner: Owner,
        counters: Counters,
        window: Window,
        *,
        to_shard: Callable[[int, Frame], None],
        to_acceptor: Callable[[str, Frame], None],
        call_later: Callable[[float, Callable[[], None]], object],
        service: str = "",
        reply_to: Callable[[Stanza], Reply | None] = answer_to,
        undelivered: Callable[[DomainPair, bytes, StanzaError], None] = lambda *what: None,
        may_bounce_to: Callable[[str], bool] = lambda domain: True,
    ) -> None:
        self._owner = owner
        self._counters = counters
        self._window = window
        self._to_shard = to_shard
        self._to_acceptor = to_acceptor
        self._call_later = call_later
        self._streams: dict[int, Connection] = {}
        self._service = service
        self._reply_to = reply_to
        self._undelivered = undelivered
        self._may_bounce_to = may_bounce_to
        self._lanes: dict[int, dict[DomainPair, Lane]] = {}  # by stream
        self._own_lanes: dict[tuple[int | None, DomainPair], Lane] = {}
        self._askers: dict[int, int] = {}  # lane of our answers → stream that pays for its room

    # --- in ---

    def run_received(
        self, connection: Connection, pair: DomainPair, counts: Counts, octets: bytes
    ) -> None:
        """Stanzas of an authorised pair arrived: take responsibility, then route them."""
        came, came_bytes = counts, len(octets)
        if pair.target == self._service:
            counts, octets = self._answer(connection, pair, octets)
            _settled(connection, came.total - counts.total)
        if not octets:
            pass
        elif self._window.has_room(connection, lane := self._lane(connection, pair)):
            self._keep(connection, lane, counts, octets)
            if connection.management is not None:
                ticket = connection.management.arrived(counts.total, lane, lane.next - 1)
                lane.kept[-1].ticket = ticket
        else:
            self._bounce(pair, octets, _STUCK, is_ours=False)
            _settled(connection, counts.total)
        # Counted when it is on its way: the stanza waits for the sum, not the sum for the stanza.
        self._count("in", connection.leg, came, came_bytes)
        connection.stanzas_in += came.total

    def taken(self, connection: Connection, counts: Counts, octets: int) -> None:
        """Stanzas for the router's own address, on a stream of its own, are answered there."""
        self._count("in", connection.leg, counts, octets)
        connection.stanzas_in += counts.total
        self._counters.add("causeway_stanza_outcomes_total", "answered", by=counts.total)

    def _keep(self, connection: Connection, lane: Lane, counts: Counts, octets: bytes) -> None:
        """Send on what is kept at this stream's expense."""
        sending = self._owner.append(lane, counts, octets)
        self._window.kept(connection, len(octets))
        if sending is not None:
            self._send(lane.shard, sending)

    def stanza_refused(
        self, connection: Connection, pair: DomainPair, octets: bytes, error: StanzaError
    ) -> None:
        """One stanza is answered at once: in, and bounced (or not, RFC 6120 §8.3.1)."""
        stanza = next(cut(octets))
        self._count("in", connection.leg, Counts.one(stanza.kind), len(octets))
        connection.stanzas_in += 1
        self._bounce(pair, octets, error, is_ours=False)
        _settled(connection, 1)

    def _lane(self, connection: Connection, pair: DomainPair) -> Lane:
        lanes = self._lanes.get(connection.number)
        if lanes is None:
            self._streams[connection.number] = connection
            lanes = self._lanes[connection.number] = {}
        lane = lanes.get(pair)
        if lane is None:
            lane = lanes[pair] = self._owner.open(pair, connection.number)
            if lane.kept:
                self._window.kept(connection, lane.kept_bytes)
                self._window.pace_changed(connection, lane)
        return lane

    def stream_gone(self, connection: Connection) -> None:
        """No more will come on this stream; its lanes end when all they hold is resolved."""
        self._streams.pop(connection.number, None)
        self._window.gone(connection)
        for lane in self._lanes.pop(connection.number, {}).values():
            self._end_if_over(lane)

    def _end_if_over(self, lane: Lane) -> None:
        if self._owner.close(lane) and lane.egress is not None:
            self._to_acceptor(lane.egress.acceptor, Ended(lane.number, lane.egress.number))

    # --- what became of it ---

    def progress(self, source: str, frame: Progress) -> None:
        """An egress acceptor reports."""
        self._settle(self._owner.progress(source, frame))

    def rejected(self, source: str, frame: Reject) -> None:
        """A worker found no way, or an egress stream does not take it."""
        self._settle(self._owner.rejected(source, frame))

    def returned(self, source: str, frame: Returned) -> None:
        """An egress stream ended, or the acceptor that had it."""
        self._pace(frame.lane, lambda: self._settle(self._owner.returned(source, frame)))

    def lost(self, acceptor: str, shards: Collection[int], is_told: bool) -> None:
        """An acceptor of this node died; see `Owner.lost`."""
        for answer in self._owner.lost(acceptor, shards, is_told=is_told):
            self._settle(answer)

    def hold(self, frame: Hold) -> None:
        """An egress stream takes no more of a lane for now."""
        self._pace(frame.lane, lambda: self._owner.hold(frame))

    def again(self, frame: Again) -> None:
        """An egress stream takes more of a lane."""
        self._pace(frame.lane, lambda: self._settle(self._owner.again(frame)))

    def _pace(self, number: int, change: Callable[[], object]) -> None:
        """Do what may change a lane's pace: who sends to it waits for it, or waits no more."""
        lane = self._owner.find(number)
        before = lane.pace if lane is not None else None
        change()
        if lane is not None and lane.pace is not before and (payer := self._payer(lane)):
            self._window.pace_changed(payer, lane)

    def replay(self, shards: Iterable[int]) -> None:
        """Shards have a new owner, which must see what nobody has taken yet."""
        self._settle(self._owner.replay(shards))

    def acceptor_came(self) -> None:
        """Another acceptor can be reached now."""
        self._send_all(self._owner.go_on())

    def crashed(self, shards: Collection[int]) -> None:
        """The workers of these shards crashed, perhaps on something that came from here."""
        self._owner.crashed(shards)

    def _settle(self, answer: Answer) -> None:
        for resolved in answer.resolved:
            self._resolved(resolved)
        self._send_all(answer.again)
        if self._owner.is_trial_due():
            self._try_next()

    def _try_next(self) -> None:
        """One stanza at a time, of those on which a worker may have crashed."""
        self._send_all(self._owner.next_trial())
        if (trial := self._owner.trial) is not None:
            self._call_later(_TRIAL_S, lambda: self._survived(trial))

    def _survived(self, trial: tuple[Lane, int]) -> None:
        """The worker lives, so it was not this one, whatever it waits for."""
        if self._owner.trial == trial:
            self._try_next()

    def _send_all(self, runs: Iterable[Sending]) -> None:
        for sending in list(runs):
            self._send(None, sending)

    def _send(self, shard: int | None, sending: Sending) -> None:
        if isinstance(sending, Data):
            self._to_shard(shard_of(*sending.pair) if shard is None else shard, sending)
        else:
            self._to_acceptor(sending.acceptor, sending.frame)

    def _resolved(self, resolved: Resolved) -> None:
        lane = resolved.lane
        is_ours = lane.stream is None
        payer = self._payer(lane)
        for run in resolved.runs:
            if payer is not None:
                self._window.released(payer, len(run.octets))
            if resolved.error is not None:
                self._bounce(lane.pair, run.octets, resolved.error, is_ours=is_ours)
            elif not is_ours:
                outcome = "answered" if lane.pair.target == self._service else "handed"
                self._counters.add("causeway_stanza_outcomes_total", outcome, by=run.counts.total)
            if run.ticket is not None:
                run.ticket.resolved(run.counts.total)
        if payer is not None and payer.management is not None:
            payer.management.tell()
        if is_ours and not lane.kept:
            self._own_lanes.pop((self._askers.pop(lane.number, None), lane.pair), None)
            self._end_if_over(lane)
        elif not (lane.ingress_open or lane.kept) and lane.egress is not None:
            self._to_acceptor(lane.egress.acceptor, Ended(lane.number, lane.egress.number))

    def _payer(self, lane: Lane) -> Connection | None:
        """The stream at whose expense the lane is kept, while there is one."""
        number = self._askers.get(lane.number, lane.stream)
        return None if number is None else self._streams.get(number)

    def _bounce(self, pair: DomainPair, octets: bytes, error: StanzaError, is_ours: bool) -> None:
        """Answer each stanza with an error on the way back, where one may be answered.

        Who reads no errors gets no more of them. What we made ourselves ends here, uncounted: it is
        of type error, or a session's.
        """
        if is_ours:
            self._undelivered(pair, octets, error)
            return
        counts, answers = Counts(0, 0, 0), []
        unbounceable = 0
        back = self._own_lanes.get((None, pair.inverse()))
        has_room = back is None or self._window.has_room_back(back)
        for stanza in cut(octets):
            if may_bounce(stanza) and has_room and self._may_bounce_to(pair.sender):
                answers.append(bounce(stanza, error))
                counts += Counts.one(stanza.kind)
            else:
                unbounceable += 1
        self._counters.add("causeway_stanza_outcomes_total", "unbounceable", by=unbounceable)
        if not answers:
            return
        self._counters.add("causeway_stanza_outcomes_total", "bounced", by=counts.total)
        self.send(pair.inverse(), counts, b"".join(answers))

    def send(self, pair: DomainPair, counts: Counts, octets: bytes) -> None:
        """Route stanzas of our own making."""
        lane = self._own_lane(None, pair)
        if (sending := self._owner.append(lane, counts, octets)) is not None:
            self._send(lane.shard, sending)

    def _answer(
        self, connection: Connection, pair: DomainPair, octets: bytes
    ) -> tuple[Counts, bytes]:
        """Answer stanzas for the router itself; who does not read the answers is not read either.

        A refusal is a bounce, everything else, silence included, is an answer. Returns those that
        are not to be answered here.
        """
        counts, answers, refusals, total = _NONE, [], 0, 0
        others, left = _NONE, []
        for stanza in cut(octets):
            reply = self._reply_to(stanza)
            if reply is None:
                left.append(stanza.octets)
                others += Counts.one(stanza.kind)
                continue
            total += 1
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
        return others, b"".join(left)

    def _own_lane(self, asker: int | None, pair: DomainPair) -> Lane:
        """A lane for stanzas of our making, as long as there are any on it."""
        key = (asker, pair)
        lane = self._own_lanes.get(key)
        if lane is None:
            lane = self._own_lanes[key] = self._owner.open(pair, None)
        return lane

    # --- figures ---

    def count_sent(self, connection: Connection, counts: Counts, octets: int) -> None:
        """Stanzas were written to a stream; what the router's own address takes goes nowhere."""
        if connection.leg == SERVICE_LEG:
            return
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
        self._counters.set("causeway_queue_bytes", value=self._owner.kept_bytes)


def _settled(connection: Connection, stanzas: int) -> None:
    """So many stanzas of a stream had their outcome as they came."""
    if connection.management is not None:
        if (ticket := connection.management.arrived(stanzas)) is not None:
            ticket.resolved(stanzas)
        connection.management.tell()
