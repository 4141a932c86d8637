"""One acceptor's streams: joins connections, lanes, dials and the bus.

`listener` and `dialer` make connections; their events come here and go on to `ingress` (stanzas),
`verification` (keys) or the shards; frames from the bus go to `ingress`, `dialer` or `egress`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

import structlog
import zmq

from router.acceptor import steps
from router.acceptor.admission import Admission
from router.acceptor.certificates.expiry import Expiries
from router.acceptor.certificates.verdict import Verifier
from router.acceptor.connection import Connection
from router.acceptor.dialling.dialer import Dialer
from router.acceptor.dialling.directory import Directory
from router.acceptor.dialling.dns import Resolver
from router.acceptor.dialling.findings import Findings
from router.acceptor.dialling.places import Places
from router.acceptor.dialling.sharing import Sharing
from router.acceptor.egress import Egress
from router.acceptor.gauge import StreamGauge
from router.acceptor.history import History
from router.acceptor.ingress import Ingress
from router.acceptor.links import Links
from router.acceptor.liveness import Liveness
from router.acceptor.openings import Openings
from router.acceptor.streams import names
from router.acceptor.throttle import throttle
from router.acceptor.tls import TlsSession
from router.acceptor.verification import Verifications
from router.acceptor.witness import Witness
from router.config import Config
from router.metrics import Counters
from router.peer_memory import Learned, PeerMemory
from router.wire import frames
from router.wire.control import Membership
from router.wire.frames import Frame, Granted, Revoked
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
            config.limits.unauthenticated_per_address, config.limits.unauthenticated_connections
        )
        self._loop = loop
        self._config = config
        self.openings = Openings(self, loop, config)
        self._connections = self.openings.open
        self._verifier = Verifier(config.tls.trust_anchors)
        self._attached: dict[str, Connection] = {}
        self._liveness = Liveness(loop, config.limits, self.connections)
        self._expiries = Expiries(loop, self._verifier.clock)
        self._links = Links(
            loop,
            context,
            own_id,
            endpoint,
            on_frame=self._received,
            announce=self._announce,
            replay=self._replay,
            gone=self._acceptor_gone,
        )
        to_shard, to_acceptor = self._links.to_shard, self._links.to_acceptor
        self._ingress = Ingress(
            Owner(self._links.generations),
            self.counters,
            config.limits.lane_window_bytes,
            to_shard=to_shard,
            to_acceptor=to_acceptor,
            service=config.service,
        )
        self._egress = Egress(
            loop,
            self._ingress,
            self._links.generations,
            to_acceptor,
            config.limits.output_buffer_bytes,
        )
        self._dialer = Dialer(
            loop,
            config,
            Places(config, resolver, self.openings.listening),
            Sharing(self._directory.leading_to, self.openings.certificates, self.memory),
            Findings(self.memory),
            self.history,
            new_connection=self.openings.outbound,
            to_shard=to_shard,
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
        elif isinstance(event, events.KeyAnswered):
            self._dialer.key_answered(connection, event)
        elif isinstance(event, events.AttachRequested):
            domain = event.domain
            self._links.to_shard(
                shard_of(domain, domain),
                frames.Attach(connection.number, domain, connection.number),
            )
        elif isinstance(event, events.StreamClosed):
            self._closed(connection, event)
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
            self._look_after(connection, core, event)

    def _look_after(
        self, connection: Connection, core: ServerStream, event: events.PairAuthorised
    ) -> None:
        """What a proof sets going: the peer's rates, the days of the certificate behind it."""
        is_ours = connection.direction == "out"
        if not event.may_send and connection.throttle is None:
            connection.throttle = throttle(
                self._config, event.pair.sender, connection.stanzas_in, self._loop.time()
            )
        rests_on_certificate = event.mechanism == "external" and not event.may_send
        if is_ours:  # the mechanism is how we proved ourselves
            rule = core.policy.rule(core.remote)
            rests_on_certificate = rule.require_certificate or not core.policy.dialback
        if rests_on_certificate:
            self._expiries.proved(connection, core.remote if is_ours else event.pair.sender)

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
        log.info(
            "stream.closed",
            **names(connection),
            condition=event.condition,
            by_peer=event.by_peer,
            text=event.text,
        )
        self._witness.closed(connection, event)
        if isinstance(connection.core, ServerStream):
            condition = event.condition or ("lost" if event.abrupt else "none")
            self.counters.add("causeway_s2s_closed_total", connection.direction, condition)
        self._directory.gone(connection)
        self._ingress.stream_gone(connection)
        self._verifications.stream_gone(connection)
        self._dialer.stream_gone(connection)

    def evidence(self, session: TlsSession) -> Evidence:
        """What the peer's certificate proves."""
        return self._verifier.evidence(session.chain)

    def tls_done(self, connection: Connection, session: TlsSession | None, reason: str) -> None:
        """Count a handshake, and log one that failed."""
        role = "client" if connection.direction == "out" else "server"
        version = session.version if session is not None else "none"
        result = "ok" if session is not None else "failed"
        self.counters.add("causeway_tls_handshakes_total", role, version, result)
        evidence = self.evidence(session) if session is not None else NO_CERTIFICATE
        self._witness.tls_done(connection, session, evidence, reason)
        if session is None:
            where = connection.address
            log.warning("tls.failed", **names(connection), address=where, reason=reason)
            return
        steps.log_tls(connection, session)
        if isinstance(connection.core, ReceivingStream):
            connection.core.server_name = session.server_name

    def opened(self, connection: Connection) -> None:
        """A TCP connection stands."""
        self.counters.add("causeway_tcp_connections_total", connection.direction)
        self._gauge.look(connection)
        steps.log_opened(connection)

    def moved(self, connection: Connection, before: Phase) -> None:
        """A step of the negotiation."""
        self._gauge.look(connection)
        steps.log_phase(connection, before)

    def lost(self, connection: Connection) -> None:
        """The socket is gone: return what did not reach the peer."""
        self._connections.pop(connection.number, None)
        self._gauge.gone(connection)
        self.admission.settled(connection.number)
        self._egress.stream_gone(connection)
        self._liveness.gone(connection)
        self._expiries.gone(connection)

    # --- what comes over the bus ---

    def _received(self, source: str, frame: Frame) -> None:
        if isinstance(frame, frames.Forward):
            self._egress.forward(self._connections.get(frame.stream), frame)
        elif isinstance(frame, frames.Progress):
            self._ingress.progress(source, frame)
        elif isinstance(frame, frames.Reject):
            self._ingress.rejected(frame)
        elif isinstance(frame, frames.Returned):
            self._ingress.returned(frame)
        elif isinstance(frame, frames.Dial):
            self._dialer.dial(frame.pair)
        elif isinstance(frame, frames.Retire):
            if (connection := self._connections.get(frame.stream)) is not None:
                connection.close()
        elif isinstance(frame, frames.VerifyKey):
            self._dialer.verify(frame)
        elif isinstance(frame, frames.Verified):
            self._verifications.verified(frame)
        elif isinstance(frame, frames.AttachAnswer):
            self._attach_answered(frame)
        elif isinstance(frame, frames.Ended):
            self._egress.ended(self.connections(), source, frame.lane)
        else:
            log.error("bus.unexpected_frame", source=source, kind=type(frame).__name__)

    def _attach_answered(self, frame: frames.AttachAnswer) -> None:
        connection = self._connections.get(frame.request)
        if connection is not None and isinstance(connection.core, ComponentStream):
            connection.act(connection.core.answer_attach(frame.accepted, self._loop.time()))

    # --- membership ---

    def membership(self, message: Membership) -> None:
        """The supervisor says who is here."""
        self._links.membership(message)

    def _announce(self, worker: str, shards: frozenset[int]) -> None:
        for frame in self._announcements(shards):
            self._links.to_worker(worker, frame)

    def _announcements(self, shards: frozenset[int]) -> Iterator[Frame]:
        """Everything a worker must know before it routes these shards."""
        for domain, connection in self._attached.items():
            yield frames.Attached(domain, connection.number)
        for connection in self._connections.values():
            core = connection.core
            if isinstance(core, ServerStream):
                is_ours = connection.direction == "out"
                for pair, mechanism in core.grants.send.items():
                    if shard_of(*pair) in shards and connection.may_send(pair):
                        yield Granted(connection.number, pair, is_ours, mechanism)
            elif (
                isinstance(core, ComponentStream)
                and core.is_attaching()
                and shard_of(core.domain, core.domain) in shards
            ):
                yield frames.Attach(connection.number, core.domain, connection.number)
        yield from self._dialer.announcements(shards)
        yield from self._verifications.announcements(shards)

    def _replay(self, shards: frozenset[int]) -> None:
        self._ingress.replay(shards)

    def _acceptor_gone(self, acceptor: str, shards: frozenset[int]) -> None:
        self._egress.owner_gone(self.connections(), acceptor)
        self._ingress.acceptor_gone(acceptor, shards)

    # --- for the process ---

    def connections(self) -> list[Connection]:
        """All connections there are."""
        return list(self._connections.values())

    def begin_drain(self) -> None:
        """Dial nobody any more."""
        self._dialer.drain()

    def pending(self) -> int:
        """Stanzas kept here whose outcome is not known."""
        return self._ingress.pending()

    def snapshot(self) -> tuple[tuple[str, tuple[str, ...], float], ...]:
        """All counters, gauges brought up to date."""
        self._ingress.gauges()
        for labels, amount in self._gauge.values():
            self.counters.set("causeway_s2s_streams", *labels, value=amount)
        return self.counters.snapshot()

    def close(self) -> None:
        """Leave the bus; open connections are dropped, dials broken off."""
        self._dialer.close()
        self._liveness.close()
        self._expiries.close()
        for connection in list(self._connections.values()):
            connection.abort()
        self._links.close()
