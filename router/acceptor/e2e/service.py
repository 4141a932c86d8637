"""What comes of stanzas for the router's own address: each goes to the core that it is for.

Owns the cores (sessions, in-band bytestreams), their one timer, and what they want said. Called by
`port` with what arrives, by `express` with what we want; `send` takes what is to leave.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from router.acceptor.connection import Connection
from router.acceptor.e2e.hub import InnerHub
from router.acceptor.e2e.listing import Listing
from router.acceptor.e2e.sessions import Sessions
from router.acceptor.e2e.socks5_attempts import Socks5
from router.acceptor.openings import Openings, new_stream_id
from router.config import Config
from router.xmpp import jid, names
from router.xmpp.bytestreams.ibb import InBandBytestream
from router.xmpp.bytestreams.ibb_table import InBandBytestreams, Received
from router.xmpp.bytestreams.streamhost import QUERY_TAG
from router.xmpp.errors import StanzaError
from router.xmpp.jingle.element import payload
from router.xmpp.jingle.endpoint import Endpoint
from router.xmpp.jingle.methods import methods
from router.xmpp.pair import DomainPair
from router.xmpp.service import answer_to
from router.xmpp.stanza import Counts, Stanza, bounce, cut, may_bounce

log = structlog.get_logger()

_IN_BAND_TAG: Final = f"{{{names.IBB}}}"
_ANSWERS: Final = ("result", "error")


class Service:
    """The sessions of the address `local`. `send(pair, counts, octets)` routes what they say."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        listing: Listing,
        openings: Openings,
        hub: InnerHub,
        send: Callable[[DomainPair, Counts, bytes], None],
    ) -> None:
        self._loop = loop
        self._local = config.service
        self._listing = listing
        self._send_run = send
        self._endpoint = Endpoint(
            self._local, methods(has_s5b=True), new_stream_id, listing.may_open
        )
        self._in_band = InBandBytestreams()
        self.socks5 = Socks5(loop, config, listing.may_open)
        written_bytes = 2 * config.limits.output_buffer_bytes
        self.sessions = Sessions(
            loop,
            self._local,
            listing,
            self._endpoint,
            self._in_band,
            self.socks5,
            openings,
            hub,
            written_bytes,
            self._send_blocks,
            self.go_on,
        )
        hub.ended = self._stream_ended
        self._timer: asyncio.Handle | None = None
        self._due: float | None = None

    # --- what comes ---

    def received(self, octets: bytes) -> None:
        """Stanzas for the address, in order, of senders whose domain has been proved."""
        for stanza in cut(octets):
            self._receive(stanza)
        self.go_on()

    def undelivered(self, pair: DomainPair, octets: bytes, error: StanzaError) -> None:
        """Stanzas of ours that found no way: as if the other side had answered so."""
        if pair.sender != self._local:
            return
        for stanza in cut(octets):
            if may_bounce(stanza):
                self._receive(next(cut(bounce(stanza, error))))
        self.go_on()

    def _receive(self, stanza: Stanza) -> None:
        now, sender = self._loop.time(), stanza.attributes["from"]
        reply = self._listing.reply_to(stanza)
        if reply is not None:
            self._say(sender, reply.octets)
        elif stanza.kind == "iq" and stanza.attributes.get("type") in _ANSWERS:
            if self._in_band.awaits(stanza):
                self._took(sender, self._in_band.receive(stanza, now))
            else:
                self._endpoint.receive_reply(stanza, now)
        elif (child := payload(stanza)) is not None and child.tag.startswith(_IN_BAND_TAG):
            self._took(sender, self._in_band.receive(stanza, now))
        elif child is not None and child.tag == QUERY_TAG and stanza.kind == "iq":
            self._say(sender, self.socks5.proxy.receive(stanza, child))
        else:
            answer = None
            if child is not None and stanza.kind == "iq":
                answer = self._endpoint.receive_request(stanza, child, now)
            profile = self._listing.profile_for(sender)
            self._say(sender, (answer or answer_to(stanza, profile)).octets)

    def _took(self, sender: str, received: Received) -> None:
        self._say(sender, received.answer)
        if received.stream is not None:
            self.sessions.took(received)
            self._send_blocks(received.stream)

    def _stream_ended(self, connection: Connection) -> None:
        self.sessions.stream_ended(connection)
        self.go_on()

    # --- what is said ---

    def _say(self, peer: str, octets: bytes | None) -> None:
        if octets:
            self._route(peer, [octets])

    def _send_blocks(self, stream: InBandBytestream) -> None:
        if stanzas := stream.stanzas_to_send():
            self._route(stream.terms.peer, stanzas)
        self._arm()

    def _route(self, peer: str, stanzas: Iterable[bytes]) -> None:
        counts, octets = Counts(0, 0, 0), b"".join(stanzas)
        for stanza in stanzas:
            counts += Counts.one("iq" if stanza.startswith(b"<iq") else "message")
        self._send_run(DomainPair(self._local, jid.domain_of(peer)), counts, octets)

    def go_on(self) -> None:
        """Send what sessions want said, and do what has happened in them."""
        while True:
            for request in self._endpoint.take_requests():
                self._say(next(cut(request)).attributes["to"], request)
            happened = self._endpoint.take_events()
            if not happened:
                break
            for event in happened:
                self.sessions.happened(event)
        self._arm()

    # --- time ---

    def _arm(self) -> None:
        due = min(
            (at for at in (self._endpoint.deadline(), self._in_band.deadline()) if at is not None),
            default=None,
        )
        if due is not None and self._due is not None and self._due <= due:
            return  # too early costs one look
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = None if due is None else self._loop.call_at(due, self._deadline_passed)

    def _deadline_passed(self) -> None:
        self._timer = self._due = None
        now = self._loop.time()
        self._endpoint.deadline_passed(now)
        for received in self._in_band.deadline_passed(now):
            self._took("", received)
        self.go_on()

    def close(self) -> None:
        """Do nothing more."""
        self.socks5.close()
        if self._timer is not None:
            self._timer.cancel()
