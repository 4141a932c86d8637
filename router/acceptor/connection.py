"""One socket and the stream core on it. Moves octets, facts and time between them; decides nothing.

The `Hub` (the acceptor) is told of every event. Layers are swapped under the core when TLS begins.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from OpenSSL import SSL

from router.acceptor.acknowledgement import Acknowledgement
from router.acceptor.layer import Layer, Transport
from router.acceptor.plain import PlainLayer
from router.acceptor.tcp_info import TcpInfo, tcp_info, unacknowledged
from router.acceptor.throttle import Throttle
from router.acceptor.tls import TlsLayer, TlsSession
from router.wire.egress import Outlet
from router.xmpp.certificate import Evidence
from router.xmpp.errors import MisuseError
from router.xmpp.events import Event, ManagementEvent, StartTls, StreamClosed
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream
from router.xmpp.states import Phase
from router.xmpp.xmlstream import XmlStream

_ACKED_WAIT_S = 5.0
_READS_WITHIN_S = 1.0  # at least two round trips, where these take longer


class Hub(Protocol):
    """What a connection needs of its acceptor."""

    def happened(self, connection: "Connection", event: Event) -> None:
        """An event of the core; the octets it caused have been written."""

    def opened(self, connection: "Connection") -> None:
        """The TCP connection stands."""

    def evidence(self, connection: "Connection", session: TlsSession) -> Evidence:
        """What the peer's certificate is worth."""

    def moved(self, connection: "Connection", before: Phase) -> None:
        """The stream has gone from `before` to another phase, perhaps over several others."""

    def tls_done(self, connection: "Connection", session: TlsSession | None, reason: str) -> None:
        """A TLS handshake ended, with a session or with the reason why not."""

    def closing(self, connection: "Connection") -> None:
        """Nothing can be sent on this stream any more; said once, before its StreamClosed."""

    def drained(self, connection: "Connection") -> None:
        """Most of what waited to be sent has left."""

    def lost(self, connection: "Connection") -> None:
        """The socket is gone; nothing more will come from this connection."""


class Connection:
    """A TCP connection with one XML stream at a time."""

    _PILED_UP = 1
    _TOO_FAST = 2

    def __init__(
        self,
        hub: Hub,
        loop: asyncio.AbstractEventLoop,
        core: XmlStream,
        *,
        number: int,
        direction: str,
        leg: str,
        tls_context: Callable[[], SSL.Context] | None,
        server_name: str | None = None,
        direct_tls: bool = False,
        level: str = "tcp",
    ) -> None:
        self.core = core
        self.number = number
        self.direction = direction
        self.leg = leg
        self.direct_tls = direct_tls
        self.session: TlsSession | None = None
        self.outlet = Outlet(number, level)
        self.management: Acknowledgement | None = None
        self.opened_at = self.heard_at = loop.time()
        self.throttle: Throttle | None = None
        self.stanzas_in = 0
        self.stanzas_out = 0
        self.kept_bytes = 0
        self.peer: tuple[str, int] | None = None
        self.address = ""
        self.end: StreamClosed | None = None
        self.tls_failure = ""
        self._hub = hub
        self._loop = loop
        self._tls_context = tls_context
        self._server_name = server_name
        self._layer: Layer | None = None
        self._kernel: Callable[[], TcpInfo | None] = lambda: None
        self._acked_at_start = self._acked = 0
        self._read_at = self.opened_at
        self._read_within_s = _READS_WITHIN_S
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._closing = False
        self._said_closing = False
        self._peer_sends_on = False
        self._held = 0
        self._slow_until: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._phase = core.phase

    # --- life ---

    def connected(self, transport: asyncio.Transport) -> None:
        """The TCP connection stands: begin.

        A byte stream that stands in for one is asked for "tcp_info" in the kernel's place.
        """
        own_info, socket = map(transport.get_extra_info, ("tcp_info", "socket"))
        self._kernel = own_info or partial(tcp_info, socket)
        peer = transport.get_extra_info("peername")
        self.peer = (peer[0], peer[1]) if peer else None
        self.address = f"{peer[0]}:{peer[1]}" if peer else ""
        if info := self._kernel():
            before = unacknowledged(socket) if self.leg == "e2e" else 0  # of a SOCKS5 handshake
            self._acked_at_start = info.acknowledged + before
            self._learn_round_trip(info)
        self._hub.opened(self)
        if self.direct_tls:
            self._begin_tls(transport)
        else:
            self._layer = PlainLayer(transport, self)
            self._layer.on_flush = self.outlet.flushed
        self.send_due()
        self._arm()

    def _begin_tls(self, transport: Transport) -> None:
        if self._tls_context is None:
            raise MisuseError("this leg has no TLS")
        before = 0
        if self._layer is not None:
            self._layer.flush()
            before = self._layer.written()
        self._layer = TlsLayer(
            transport,
            self._tls_context(),
            self,
            server_side=self.direction == "in",
            server_name=self._server_name,
            written_before=before,
        )
        self._layer.on_flush = self.outlet.flushed

    def act(self, events: list[Event]) -> None:
        """Answer the peer first, then tell the hub (and only then read on)."""
        self.send_due()
        if self._phase is not self.core.phase:
            before, self._phase = self._phase, self.core.phase
            self._hub.moved(self, before)
        for event in events:
            if isinstance(event, StartTls):
                if self._layer is not None and not self.direct_tls:
                    self._begin_tls(self._layer.transport)
            elif isinstance(event, StreamClosed):
                self.end = event
                self._stop_sending()
                self._hub.happened(self, event)
                self._finish(event)
            else:
                if isinstance(event, ManagementEvent):
                    self._managed(event)
                self._hub.happened(self, event)
        if self.core.phase is Phase.CLOSING:
            self._stop_sending()
        self._arm()

    def _managed(self, event: ManagementEvent) -> None:
        if self.management is None and isinstance(self.core, ServerStream):
            self.management = Acknowledgement(self._loop, self.core, self)
        if self.management is not None:
            self.management.happened(event)

    def _stop_sending(self) -> None:
        if not self._said_closing:
            self._said_closing = True
            self._let_go(self._TOO_FAST)  # what the peer has sent is read up to its closing tag
            self._hub.closing(self)

    def _finish(self, event: StreamClosed) -> None:
        """Close the socket once the peer's kernel has what was written, or after a while.

        Until then it can still be told what arrived and what is in doubt.
        """
        self._closing = True
        if event.is_complete:  # all that was sent has been read: RFC 6120 §4.4
            self.outlet.unmanaged()
        if self._layer is None:
            return
        if event.abrupt:
            self._layer.abort()
            return
        self._layer.flush()
        self._peer_sends_on = event.condition is not None and not event.by_peer
        self._close_when_acknowledged(self._loop.time() + _ACKED_WAIT_S)

    def _close_when_acknowledged(self, deadline: float) -> None:
        if self._layer is None:
            return
        self.poll_acknowledged()
        is_waiting = self.outlet.is_unacknowledged() or self._layer.buffered() > 0
        if not is_waiting and self._peer_sends_on:
            self._layer.finish()
            self._patience = self._loop.call_later(self.core.policy.close_timeout_s, self.abort)
        elif not is_waiting:
            self._layer.close()
        elif self._loop.time() < deadline:
            self._loop.call_later(0.005, self._close_when_acknowledged, deadline)
        else:
            self._layer.abort()  # it does not read: a close would wait for it without end

    def refused(self) -> None:
        """The connection was not admitted: it never begins."""
        self._closing = True
        self._hub.lost(self)

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self._layer is not None:
            self._layer.abort()

    # --- sending ---

    def may_send(self, pair: DomainPair) -> bool:
        """Whether stanzas of the pair may leave here now."""
        return self.end is None and self.core.may_send(pair)

    def send_run(self, pair: DomainPair, octets: bytes, stanzas: int) -> None:
        """Write so many stanzas of a pair that may leave here."""
        self.core.send_run(pair, octets, stanzas)
        if self.management is not None:
            self.management.sent(stanzas, len(octets))
        self.send_due()

    def close(self) -> None:
        """Begin an orderly close."""
        self.act(self.core.close(self._loop.time()))

    def send_due(self) -> None:
        octets = self.core.bytes_to_send()
        if octets and self._layer is not None:
            self._layer.write(octets)

    def buffered(self) -> int:
        """Octets that wait to be sent."""
        return self._layer.buffered() if self._layer is not None else 0

    def begins_to_wait(self) -> None:
        """From now on the peer is expected to acknowledge something."""
        self._read_at = self._loop.time()

    def poll_acknowledged(self) -> None:
        """Ask the kernel how much of what was sent the peer's kernel has."""
        if self.outlet.is_unacknowledged() and (info := self._kernel()):
            acked = info.acknowledged - self._acked_at_start
            if acked > self._acked:
                self._acked = acked
                self._read_at = self._loop.time()
                self._learn_round_trip(info)
            self.outlet.acknowledged(acked)

    def _learn_round_trip(self, info: TcpInfo) -> None:
        self._read_within_s = max(_READS_WITHIN_S, 2 * info.round_trip_s)

    def is_read(self) -> bool:
        """Whether the peer's kernel takes what is sent: nothing waits, or some was taken lately."""
        if not self.outlet.is_unacknowledged():
            return True
        return self._loop.time() - self._read_at <= self._read_within_s

    def output(self) -> tuple[int, int]:
        """Octets written so far, and how many of them the peer's kernel has."""
        written = self._layer.written() if self._layer is not None else 0
        return written, self._tcp_acked() - self._acked_at_start

    def silent_s(self) -> float:
        """Seconds since the peer's kernel last acknowledged anything, windows of 0 included."""
        info = self._kernel()
        return info.silent_s if info else 0.0

    def send_space(self) -> None:
        """White space between stanzas: asks nothing of the peer but its kernel's answer."""
        self.core.write(b" ")
        self.send_due()

    def _tcp_acked(self) -> int:
        info = self._kernel()
        return info.acknowledged if info else 0

    # --- reading ---

    def pause_reading(self) -> None:
        """Take nothing more from this peer for now."""
        self._hold(self._PILED_UP)

    def resume_reading(self) -> None:
        """Go on after `pause_reading`."""
        self._let_go(self._PILED_UP)

    def _throttle(self, pause_s: float) -> None:
        """Read on later: nothing is lost, TCP tells the peer to wait (reliability D5)."""
        if pause_s > 0 and not self._said_closing:
            self._hold(self._TOO_FAST)
            if self._slow_until is not None:
                self._slow_until.cancel()
            self._slow_until = self._loop.call_later(pause_s, self._let_go, self._TOO_FAST)

    def _hold(self, why: int) -> None:
        if self._layer is None or self._closing:
            return
        if not self._held:
            self._layer.pause_reading()
        self._held |= why

    def _let_go(self, why: int) -> None:
        if self._layer is None or self._closing or not self._held & why:
            return
        self._held &= ~why
        if not self._held:
            self._layer.resume_reading()

    # --- what the layers report ---

    def tls_established(self, session: TlsSession) -> None:
        """The TLS handshake is complete."""
        self.session = session
        self._hub.tls_done(self, session, "")
        self.act(self.core.tls_established(self._hub.evidence(self, session), self._loop.time()))

    def tls_failed(self, reason: str) -> None:
        """The TLS handshake failed: no closing tag, nothing (RFC 6120 §5.4.3.2)."""
        self.tls_failure = reason
        self._hub.tls_done(self, None, reason)

    def data_received(self, octets: bytes) -> None:
        """Octets of the stream, decrypted."""
        if self.end is None:
            now = self.heard_at = self._loop.time()
            self.act(self.core.receive_bytes(octets, now))
            if self.throttle is not None:
                self._throttle(self.throttle.took(len(octets), self.stanzas_in, now))

    def eof_received(self, clean: bool) -> None:
        """The peer sends no more."""
        if self.end is None:
            self.act(self.core.receive_eof(self._loop.time()))

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed, by whomever."""
        self._layer = None
        for timer in (self._patience, self._slow_until):
            if timer is not None:
                timer.cancel()  # or the loop keeps all that belongs to this until it is due
        if self.management is not None:
            self.management.close()
            self.management = None
        self.poll_acknowledged()  # the last chance: the socket closes when this returns
        self._arm()
        if self.end is None:
            self.act(self.core.receive_eof(self._loop.time()))
        self._hub.lost(self)

    def pause_writing(self) -> None:
        """The peer reads slowly; `egress` bounds what piles up here."""

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._hub.drained(self)

    # --- time ---

    def _arm(self) -> None:
        due = self.core.deadline() if self._layer is not None else None
        if due == self._due:
            return
        self._due = due
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._deadline) if due is not None else None

    def _deadline(self) -> None:
        self._timer = self._due = None
        self.act(self.core.deadline_passed(self._loop.time()))
