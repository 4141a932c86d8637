"""Jingle sessions of the router's address: each one's transport, and the inner stream on it.

Does what the session machine says has happened: agrees on transports, puts a connection on the
bytestream that stands, and ends one with the other. Called by `service`.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, cast

import structlog

from router.acceptor.connection import Connection
from router.acceptor.e2e.hub import InnerHub
from router.acceptor.e2e.in_band import InBandTransport
from router.acceptor.e2e.listing import Listing
from router.acceptor.e2e.socks5_attempts import Socks5, Socks5Bytestream
from router.acceptor.e2e.socks5_links import Link
from router.acceptor.openings import Openings, new_stream_id
from router.xmpp import jid, names
from router.xmpp.bytestreams.ibb import InBandBytestream, Role, Terms
from router.xmpp.bytestreams.ibb_events import Closed, Opened
from router.xmpp.bytestreams.ibb_table import InBandBytestreams, Received
from router.xmpp.bytestreams.ibb_transport import IbbOffer
from router.xmpp.bytestreams.ibb_window import WindowLimits
from router.xmpp.bytestreams.s5b_transport import S5bOffer, Said
from router.xmpp.e2e import InitiatorStream, RecipientStream
from router.xmpp.e2e_ends import Ends
from router.xmpp.jingle import events
from router.xmpp.jingle.endpoint import Endpoint
from router.xmpp.jingle.events import JingleEvent, SessionKey
from router.xmpp.jingle.transport import Transport, TransportInfo

log = structlog.get_logger()

BLOCK_BYTES: Final = 8192
"""What we offer, and the most that we take: every server's limit on stanzas is above twice that."""
_SID_BYTES: Final = 16


@dataclass(slots=True, eq=False)
class Inner:
    """One session: what carries it, or is to, and its stream once that stands."""

    key: SessionKey
    socks5: Socks5Bytestream | None = None
    in_band: InBandBytestream | None = None
    transport: InBandTransport | None = None
    connection: Connection | None = None


class Sessions:
    """All sessions that `endpoint` has. `send` is called when a bytestream has stanzas to send,
    `go_on` when sessions have something to say of themselves.

    `written_bytes` is the most that a connection may have waiting.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        local: str,
        listing: Listing,
        endpoint: Endpoint,
        in_band: InBandBytestreams,
        socks5: Socks5,
        openings: Openings,
        hub: InnerHub,
        written_bytes: int,
        send: Callable[[InBandBytestream], None],
        go_on: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._local = local
        self._listing = listing
        self._endpoint = endpoint
        self._in_band = in_band
        self._socks5 = socks5
        self._openings = openings
        self._hub = hub
        self._window = WindowLimits(max_unsent_bytes=written_bytes)
        self._send = send
        self._go_on = go_on
        self._open: dict[SessionKey, Inner] = {}
        self._is_closing = False
        self.over: Callable[[str], None] = lambda peer: None
        """Told of the peer of each session that is over."""

    # --- what we wish ---

    def open(self, peer: str) -> SessionKey:
        """Begin a session with this address. Raises JidError for what is none."""
        socks5 = self._socks5.offered(jid.normal(peer))
        in_band = IbbOffer(secrets.token_hex(_SID_BYTES), BLOCK_BYTES, can_repair=True)
        offers: tuple[Transport, ...] = (socks5.offer, in_band)  # JXS-05
        sid = secrets.token_hex(_SID_BYTES)
        key = self._endpoint.open(peer, sid, offers, self._loop.time())
        self._open[key] = Inner(key, socks5)
        log.info("e2e.session_opened", peer=peer, sid=sid)
        return key

    def has_peer(self, peer: str) -> bool:
        """Whether there is a session with this address, or one begun."""
        return any(key.peer == peer for key in self._open)

    def close(self) -> None:
        """Close the inner streams in order, their sessions end with them; begin no others."""
        self._is_closing = True
        for inner in list(self._open.values()):
            if inner.connection is not None:
                inner.connection.close()
            elif (session := self._endpoint.session(inner.key)) is not None:
                session.terminate("gone")

    def rows(self) -> Iterator[dict[str, object]]:
        """To show: one row a session."""
        for key, inner in self._open.items():
            session, stream = self._endpoint.session(key), inner.connection
            is_initiator = session is not None and session.is_initiator
            yield {
                "peer": key.peer,
                "sid": key.sid,
                "role": "initiator" if is_initiator else "responder",
                "state": session.state.value if session is not None else "ended",
                "transport": _transport(inner),
                "stream": stream.number if stream is not None else None,
                "stream_state": stream.core.phase.value if stream is not None else "",
                "tls": stream.session.version if stream and stream.session else "",
                "pairs": sorted(map(str, stream.core.grants.send)) if stream is not None else [],
            }

    # --- what sessions report ---

    def happened(self, event: JingleEvent) -> None:
        """Act on an event of a session."""
        key = event.session
        if isinstance(event, events.Offered):
            self._offered(key, event.transport)
        elif isinstance(event, events.TransportAgreed):
            self._agreed(key, event)
        elif isinstance(event, events.TransportOffered):
            self._replacement_offered(key, event.transport)
        elif isinstance(event, events.InfoReceived):
            inner = self._open.get(key)
            if inner is not None and inner.socks5 is not None:
                inner.socks5.heard(cast(Said, event.info))
        elif isinstance(event, events.SessionEnded):
            self._ended(key, event)

    def _offered(self, key: SessionKey, offer: Transport) -> None:
        session = self._endpoint.session(key)
        if session is None:
            return
        self._ask_after(key.peer)
        inner = self._open[key] = Inner(key)
        log.info("e2e.session_offered", peer=key.peer, sid=key.sid, transport=offer.namespace)
        answer = None if self._is_closing else self._answer(inner, offer)
        if self._is_closing:
            session.terminate("gone")
        elif answer is not None:
            session.accept(answer)
        else:
            session.terminate("unsupported-transports")

    def _ask_after(self, peer: str) -> None:
        """Who begins anew may have lost what there was: sessions it does not know end at once."""
        for key, inner in list(self._open.items()):
            session = self._endpoint.session(key)
            if key.peer == peer and inner.connection is not None and session is not None:
                session.ping()

    def _replacement_offered(self, key: SessionKey, offer: Transport) -> None:
        session, inner = self._endpoint.session(key), self._open.get(key)
        if session is None or inner is None:
            return
        answer = self._answer(inner, offer) if inner.connection is None else None
        if answer is not None:
            session.accept_transport(answer)
        else:
            session.reject_transport()

    def _answer(self, inner: Inner, offer: Transport) -> Transport | None:
        _drop_socks5(inner)
        if isinstance(offer, IbbOffer) and self._in_band.has_room(inner.key.peer, offer.sid):
            return offer.answer(BLOCK_BYTES)
        if isinstance(offer, S5bOffer):
            inner.socks5 = self._socks5.offered(inner.key.peer, offer.sid)
            return offer.answer(inner.socks5.offer)
        return None

    def _agreed(self, key: SessionKey, event: events.TransportAgreed) -> None:
        agreed = event.theirs if event.is_offerer else event.ours
        inner = self._open.get(key)
        if inner is None:
            return
        if isinstance(event.ours, S5bOffer) and isinstance(event.theirs, S5bOffer):
            self._begin_socks5(inner, event.ours, event.theirs)
        elif isinstance(agreed, IbbOffer):
            _drop_socks5(inner)
            self._begin_in_band(inner, agreed, is_offerer=event.is_offerer)

    def _ended(self, key: SessionKey, event: events.SessionEnded) -> None:
        inner = self._open.pop(key, None)
        if inner is None:
            return
        why = event.reason or event.condition
        log.info("e2e.session_ended", peer=key.peer, sid=key.sid, reason=why, by_peer=event.by_peer)
        _drop_socks5(inner)
        if inner.connection is not None:
            inner.connection.abort()
        elif inner.transport is not None:
            inner.transport.abort()
        self._forget(inner.in_band)
        self.over(key.peer)

    # --- SOCKS5 bytestreams ---

    def _begin_socks5(self, inner: Inner, ours: S5bOffer, theirs: S5bOffer) -> None:
        session, bytestream = self._endpoint.session(inner.key), inner.socks5
        if session is None or bytestream is None:
            return

        def ready(link: Link) -> None:
            self._begin_stream(inner, link.transport, link.rest)
            link.transport.resume_reading()

        def failed(reason: str) -> None:
            log.info("e2e.socks5_failed", peer=inner.key.peer, sid=inner.key.sid)
            if reason == "connectivity-error":
                session.transport_failed(self._loop.time())
            else:
                session.terminate(reason)
            self._go_on()

        def say(info: TransportInfo) -> None:
            session.inform(info)
            self._go_on()

        bytestream.say, bytestream.ready, bytestream.failed = say, ready, failed
        bytestream.begin(ours, theirs, is_initiator=session.is_initiator)

    # --- in-band bytestreams ---

    def _begin_in_band(self, inner: Inner, agreed: IbbOffer, *, is_offerer: bool) -> None:
        if not self._in_band.has_room(inner.key.peer, agreed.sid):
            self._fail(inner)
            return
        terms = Terms(
            self._local,
            inner.key.peer,
            agreed.sid,
            agreed.block_size_bytes,
            agreed.stanza,
            agreed.can_repair,
            self._window,
        )
        role = Role.OPENS if is_offerer else Role.EXPECTS_OPEN
        if agreed.namespace == names.JINGLE_IBB_0:
            role = Role.NO_OPEN
        inner.in_band = InBandBytestream(terms, role, new_stream_id, self._loop.time())
        inner.transport = InBandTransport(self._loop, inner.in_band, self._send)
        self._in_band.add(inner.in_band)
        if role is Role.NO_OPEN:
            self._begin_stream(inner, cast(asyncio.Transport, inner.transport))
        self._send(inner.in_band)

    def took(self, received: Received) -> None:
        """A stanza, or a deadline, did this to a bytestream."""
        inner = self._of(received.stream)
        if inner is None or inner.transport is None:
            return
        if any(isinstance(event, Opened) for event in received.events):
            self._begin_stream(inner, cast(asyncio.Transport, inner.transport))
        inner.transport.happened(received.events)
        if any(isinstance(event, Closed) for event in received.events):
            self._forget(received.stream)
            if inner.connection is None:
                self._fail(inner)

    def _of(self, stream: InBandBytestream | None) -> Inner | None:
        found = (inner for inner in self._open.values() if inner.in_band is stream)
        return next(found, None) if stream is not None else None

    def _forget(self, stream: InBandBytestream | None) -> None:
        if stream is not None:
            self._send(stream)
            self._in_band.remove(stream)

    def _fail(self, inner: Inner) -> None:
        if (session := self._endpoint.session(inner.key)) is not None:
            session.transport_failed(self._loop.time())

    # --- inner streams ---

    def _begin_stream(self, inner: Inner, transport: asyncio.Transport, rest: bytes = b"") -> None:
        """XEP-0247 §2: who began the session opens the stream on what was agreed."""
        session = self._endpoint.session(inner.key)
        if session is None or inner.connection is not None:
            transport.abort()
            return
        peer, now = inner.key.peer, self._loop.time()
        ends = Ends(self._local, peer, self._listing.pairs_with(peer))
        policy = self._openings.policy_of("e2e")
        core: InitiatorStream | RecipientStream
        if session.is_initiator:
            core = InitiatorStream(policy, new_stream_id, ends, now)
            first = core.open()
        else:
            core = RecipientStream(policy, new_stream_id, ends, now)
            first = []
        direction = "out" if session.is_initiator else "in"
        inner.connection = self._openings.inner(
            self._hub, core, direction, self._local, jid.domain_of(peer)
        )
        inner.connection.connected(transport)
        inner.connection.act(first)
        if rest:
            inner.connection.data_received(rest)

    def stream_ended(self, connection: Connection) -> None:
        """The transport of an inner stream is gone: so is its session."""
        inner = next((i for i in self._open.values() if i.connection is connection), None)
        if inner is None:
            return
        end = connection.end
        is_orderly = end is not None and end.condition is None and not end.abrupt
        if (session := self._endpoint.session(inner.key)) is not None:
            session.terminate("success" if is_orderly else "connectivity-error")


def _drop_socks5(inner: Inner) -> None:
    if inner.socks5 is not None:
        inner.socks5.close()
        inner.socks5 = None


def _transport(inner: Inner) -> str:
    if inner.in_band is not None:
        return "in-band"
    return "socks5" if inner.socks5 is not None else ""
