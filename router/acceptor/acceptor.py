"""One acceptor's streams: joins connections, lanes, dials and the bus.

`listener` and `dialer` make connections; their events come here and go on to `ingress` (stanzas),
`verification` (keys) or the shards; `reception` takes the frames from the bus.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import chain

import structlog
import zmq

from router.acceptor import announcements, steps
from router.acceptor.admission import Admission
from router.acceptor.bounces import Bounces
from router.acceptor.certificates.expiry import Expiries
from router.acceptor.certificates.judges import Judges
from router.acceptor.connection import Connection
from router.acceptor.departures import go_by
from router.acceptor.dialling.dialer import Dialer
from router.acceptor.dialling.directory import Directory
from router.acceptor.dialling.dns import Resolver
from router.acceptor.dialling.findings import Findings
from router.acceptor.dialling.places import Places
from router.acceptor.dialling.sharing import Sharing
from router.acceptor.e2e.end_to_end import EndToEnd
from router.acceptor.egress import Egress
from router.acceptor.gauge import StreamGauge
from router.acceptor.history import History
from router.acceptor.ingress import Ingress
from router.acceptor.links import Links
from router.acceptor.liveness import Liveness
from router.acceptor.openings import Openings
from router.acceptor.overload import Overload
from router.acceptor.reception import Reception
from router.acceptor.resumption import Resumptions
from router.acceptor.streams import names
from router.acceptor.throttle import throttle
from router.acceptor.tls import TlsSession
from router.acceptor.verification import Verifications
from router.acceptor.window import Window
from router.acceptor.witness import Witness
from router.config import Config
from router.metrics import Counters
from router.peer_memory import Learned, PeerMemory
from router.wire import frames
from router.wire.control import Membership
from router.wire.frames import Granted, Revoked
from router.wire.owner import Owner
from router.wire.shard import shard_of
from router.xmpp import events
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.component import ComponentStream
from router.xmpp.events import Event
from router.xmpp.receiving import ReceivingStream
from router.xmpp.s2s import ServerStream
from router.xmpp.states import Phase

log = structlog.get_logger()


class Acceptor:
    """Everything of one acceptor but its listening sockets and its process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        own_id: str,
        endpoint: str,
        context: "zmq.Context[zmq.Socket[bytes]]",
        resolver: Resolver,
        tell: Callable[[Learned], None] = lambda _: None,
    ) -> None:
        self.counters = Counters()
        self.memory = PeerMemory(config, time.time, tell)
        self.history = History(time.time)
        self._gauge = StreamGauge()
        self._directory = Directory()
        self._witness = Witness(self.history, self.memory, self.counters)
        self.admission = Admission(
            config.limits.unauthenticated_per_address,
            config.limits.unauthenticated_connections,
            lambda: self._overload.admits(len(self._connections) - 1),  # it is there already
        )
        self._loop = loop
        self._config = config
        self.openings = Openings(self, loop, config)
        self._connections = self.openings.open
        self._judges = Judges(config)
        self._attached: dict[str, Connection] = {}
        self.end_to_end = EndToEnd(config)
        self._liveness = Liveness(loop, config.limits, self.connections)
        self._expiries = Expiries(loop, self._judges.clock)
        self._links = Links(
            loop,
            context,
            own_id,
            endpoint,
            on_frame=lambda *what: self._reception.take(*what),
            announce=self._announce,
            replay=lambda shards: self._ingress.replay(shards),
            came=lambda: self._ingress.acceptor_came(),
            gone=self._acceptor_gone,
            lost=lambda *which: self._ingress.lost(*which),
            crashed=lambda shards: self._ingress.crashed(shards),
        )
        to_shard, to_acceptor = self._links.to_shard, self._links.to_acceptor
        owner = Owner(own_id, self._links.leases, resends=config.delivery.in_doubt == "resend")
        self._bounces = Bounces(config, loop.time)
        window = Window(owner, config.limits.lane_window_bytes, config.limits.retention_bytes)
        self._ingress = Ingress(
            owner,
            self.counters,
            window,
            to_shard=to_shard,
            to_acceptor=to_acceptor,
            call_later=loop.call_later,
            service=config.service,
            reply_to=self.end_to_end.listing.reply_to,
            undelivered=self.end_to_end.undelivered,
            may_bounce_to=self._bounces.may_go_to,
        )
        self._egress = Egress(
            loop,
            self._ingress,
            self._links.leases,
            to_acceptor,
            config.limits.output_buffer_bytes,
            config.limits.output_total_bytes,
        )
        self._overload = Overload(
            loop,
            config.limits,
            self.counters,
            lambda: owner.kept_bytes + self._egress.waiting_bytes,
            self.connections,
            (window, self._egress),
            window.pause,
        )
        self._resumptions = Resumptions(
            loop,
            own_id,
            config.delivery.resume_s,
            to_shard=to_shard,
            to_acceptor=to_acceptor,
            alive=self.connections,
            give_back=self._egress.stream_gone,
            dial=lambda pair: self._dialer.dial(pair),
        )
        self.openings.lost = self._resumptions.wanted
        self._dialer = Dialer(
            loop,
            config,
            Places(config, resolver, self.openings.listening),
            Sharing(self._directory.leading_to, self.openings.certificates, self.memory),
            Findings(self.memory),
            self.history,
            new_connection=self.openings.outbound,
            to_shard=self._resumptions.told,
            to_acceptor=to_acceptor,
        )
        self._verifications = Verifications(
            loop,
            config.limits,
            to_shard,
            self._witness.key_judged,
            at_hand=lambda asked, otherwise: self._dialer.verify_at_hand(
                frames.VerifyKey(own_id, asked.request, asked.pair, asked.stream_id, asked.key),
                otherwise,
            ),
        )
        self._reception = Reception(
            self._connections,
            self._ingress,
            self._egress,
            self._resumptions,
            self._dialer,
            self._verifications,
            self._overload,
            self.end_to_end.answered,
            clock=loop.time,
            to_shard=to_shard,
            to_acceptor=to_acceptor,
            to_worker=self._links.to_worker,
        )
        parts = (self.openings, self._ingress, self._egress, self._liveness, self._links)
        self.end_to_end.begin(self, loop, *parts, self._attached)

    # --- what connections report (connection.Hub) ---

    def happened(self, connection: Connection, event: Event) -> None:
        """Act on an event of a stream."""
        if isinstance(event, events.RunReceived):
            self._ingress.run_received(connection, event.pair, event.counts, event.octets)
            return
        self._gauge.look(connection)
        steps.log_proof(connection, event)
        if isinstance(event, events.StanzaRefused):
            self._ingress.stanza_refused(connection, event.pair, event.octets, event.error)
        elif isinstance(event, events.PairAuthorised):
            self._authorised(connection, event)
        elif isinstance(event, events.PairRefused):
            self._witness.refused(connection, event)
            self._dialer.refused(connection, event)
        elif isinstance(event, events.KeyReceived):
            self._witness.key_received(connection, event)
            self._verifications.begin(connection, event)
        elif isinstance(event, events.ClaimRefused):
            self._witness.claim_refused(connection, event.pair)
        elif isinstance(event, events.KeyAnswered):
            self._dialer.key_answered(connection, event)
        elif isinstance(event, events.AttachRequested):
            domain = event.domain
            self._links.to_shard(
                shard_of(domain, domain),
                frames.Attach(connection.number, domain, connection.number),
            )
        elif isinstance(event, events.Acknowledged):
            self._egress.acknowledged(connection)
        elif isinstance(event, events.StreamClosed):
            self._closed(connection, event)
        elif isinstance(event, events.ResumeEvent):
            self._resumptions.happened(connection, event)
        elif isinstance(event, events.Ignored):
            log.info("stream.ignored", **names(connection), what=event.what)

    def _authorised(self, connection: Connection, event: events.PairAuthorised) -> None:
        core = connection.core
        self.admission.settled(connection.number)
        if isinstance(core, ComponentStream):
            self._attached[core.domain] = connection
            self.counters.add("causeway_s2s_authenticated_total", "in", "component")
            self._links.to_all_workers(frames.Attached(core.domain, connection.number))
            log.info("component.attached", domain=core.domain, address=connection.address)
            return
        self._witness.authorised(connection, event)
        remote = event.pair.target if event.may_send else event.pair.sender
        self._directory.proved(connection, remote)
        initiated = connection.direction == "out"
        if event.may_send == initiated:
            self.counters.add(
                "causeway_s2s_authenticated_total", connection.direction, event.mechanism
            )
            log.info("s2s.authorised", **names(connection), pair=str(event.pair))
        if event.may_send:
            self._links.to_shard(
                shard_of(*event.pair),
                Granted(connection.number, event.pair, initiated, event.mechanism),
            )
            self._dialer.authorised(connection, event.pair)
        else:
            self._dialer.heard_from(event.pair.sender)
        if isinstance(core, ServerStream):
            self._expiries.authorised(connection, core, event)
        if not event.may_send and connection.throttle is None:
            connection.throttle = throttle(
                self._config, event.pair.sender, connection.stanzas_in, self._loop.time()
            )

    def closing(self, connection: Connection) -> None:
        """Nothing leaves on this stream any more: shards are to look for another at once."""
        core = connection.core
        if isinstance(core, ServerStream):
            for pair in core.grants.send:
                self._links.to_shard(shard_of(*pair), Revoked(connection.number, pair))
            self._dialer.stream_closing(connection)
        elif isinstance(core, ComponentStream) and core.domain:
            if self._attached.get(core.domain) is connection:
                del self._attached[core.domain]
            # Also when it was not attached yet: the domain may have been reserved for it.
            self._links.to_all_workers(frames.Detached(core.domain, connection.number))

    def _closed(self, connection: Connection, event: events.StreamClosed) -> None:
        steps.log_closed(connection, event)
        self._witness.closed(connection, event)
        self._directory.gone(connection)
        self._ingress.stream_gone(connection)
        self._verifications.stream_gone(connection)
        self._dialer.stream_gone(connection)

    def evidence(self, connection: Connection, session: TlsSession) -> Evidence:
        """What the peer's certificate proves."""
        return self._judges.evidence(connection, session)

    def tls_done(self, connection: Connection, session: TlsSession | None, reason: str) -> None:
        """A handshake ended."""
        evidence = self.evidence(connection, session) if session is not None else NO_CERTIFICATE
        self._witness.tls_done(connection, session, evidence, reason)
        steps.log_tls(connection, session, reason)
        if session is not None and isinstance(connection.core, ReceivingStream):
            connection.core.server_name = session.server_name

    def opened(self, connection: Connection) -> None:
        """A TCP connection stands."""
        connection.core.evidence = self._judges.evidence(connection, None)
        self.counters.add("causeway_tcp_connections_total", connection.direction)
        self._gauge.look(connection)
        steps.log_opened(connection)

    def moved(self, connection: Connection, before: Phase) -> None:
        """A step of the negotiation."""
        self._gauge.look(connection)
        steps.log_phase(connection, before)

    def drained(self, connection: Connection) -> None:
        """The peer has read most of what waited for it."""
        self._egress.drained(connection)

    def lost(self, connection: Connection) -> None:
        """The socket is gone: return what did not reach the peer."""
        self._connections.pop(connection.number, None)
        self._gauge.gone(connection)
        self.admission.settled(connection.number)
        self._egress.socket_gone(connection)
        self._resumptions.lost(connection)
        self._liveness.gone(connection)
        self._expiries.gone(connection)

    # --- membership ---

    def is_settled(self) -> bool:
        """Whether stanzas that come now are routed by workers that know all our streams."""
        return self._links.is_settled()

    def membership(self, message: Membership) -> None:
        """The supervisor says who is here."""
        self._links.membership(message)
        knowing = self._links.leases.keeps_lanes
        self._resumptions.membership(name for name, _ in message.acceptors if knowing(name))

    def _announce(self, worker: str, shards: frozenset[int]) -> None:
        for frame in chain(
            announcements.of_streams(shards, self._attached, self.connections()),
            self._dialer.announcements(shards),
            self._verifications.announcements(shards),
        ):
            self._links.to_worker(worker, frame)

    def _acceptor_gone(self, acceptor: str) -> None:
        self._egress.owner_gone(self._reception.outlets(), acceptor)

    # --- for the process ---

    def connections(self) -> list[Connection]:
        """All connections there are."""
        return list(self._connections.values())

    def reload(self, config: Config) -> tuple[str, ...]:
        """Go by another configuration; what of it cannot be. Streams it leaves alone go on."""
        self._config = self.memory.config = config
        self._dialer.reload(config)
        self._bounces.reload(config)
        for each in (self.admission, self._liveness, self._verifications, self._overload):
            each.reload(config.limits)
        problems = self.openings.reload(config)
        problems += self._judges.reload(config)
        go_by(self.connections(), config, self.openings.policy_of)
        return tuple(problems)

    def dial_one_way(self) -> None:
        """Open no more streams on which a peer could send."""
        self._dialer.dial_one_way()

    def begin_drain(self) -> None:
        """Dial nobody any more."""
        self._dialer.drain()
        self._resumptions.close()

    def pending(self) -> int:
        """Stanzas kept here whose outcome is not known."""
        return self._ingress.pending()

    def snapshot(self) -> tuple[tuple[str, tuple[str, ...], float], ...]:
        """All counters, gauges brought up to date."""
        self._ingress.gauges()
        self._overload.gauges()
        for labels, amount in self._gauge.values():
            self.counters.set("causeway_s2s_streams", *labels, value=amount)
        return self.counters.snapshot()

    def close(self) -> None:
        """Leave the bus; open connections are dropped, dials broken off."""
        self.end_to_end.close()
        self._dialer.close()
        self._resumptions.close()
        self._liveness.close()
        self._overload.close()
        self._expiries.close()
        for connection in list(self._connections.values()):
            connection.abort()
        self._links.close()
