"""A remote server and a component made of the router's own cores, to load a node from outside.

They send prepared octets as fast as the node takes them and count what comes back without reading
it, so that the generator costs less than what it measures. For benchmarks only.
"""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable, Iterable
from typing import Final

from OpenSSL import SSL

from router.acceptor.layer import Layer
from router.acceptor.plain import PlainLayer
from router.acceptor.tls import TlsLayer, TlsSession
from router.xmpp import writer
from router.xmpp.certificate import NO_CERTIFICATE
from router.xmpp.events import Event, PairAuthorised, RunReceived, StartTls, StreamClosed
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.perspective import outside
from router.xmpp.policy import PeerRule, Policy
from router.xmpp.reader import Limits

CHUNK_BYTES: Final = 65_536
STANZA_BYTES: Final = 383
MARK: Final = b"</message>"
_STREAM_ID: Final = re.compile(rb"<stream:stream[^>]* id=['\"]([^'\"]+)['\"]")


def chat(sender: str, target: str, size: int = STANZA_BYTES) -> bytes:
    """A chat message of exactly `size` octets, as clients send them.

    Where that does not fit there is nothing but a body in it and it has no id. Raises ValueError
    when even that is too long.
    """
    head = (
        f"<message from='romeo@{sender}/orchard' to='juliet@{target}/balcony' type='chat'"
        " id='ktx72v49'><active xmlns='http://jabber.org/protocol/chatstates'/><body>"
    )
    tail = "</body><request xmlns='urn:xmpp:receipts'/></message>"
    if size < len(head) + len(tail):
        head = f"<message from='r@{sender}' to='j@{target}'><body>"
        tail = "</body></message>"
    filling = size - len(head) - len(tail)
    if filling < 0:
        raise ValueError(f"a message between these domains has at least {size - filling} octets")
    text = ("But, soft! what light through yonder window breaks? " * (filling // 52 + 1))[:filling]
    return (head + text + tail).encode()


class Tally:
    """Stanzas that have arrived, at one end or at several together."""

    def __init__(self) -> None:
        self.arrived = 0
        self.wanted = 0
        self.complete = asyncio.Event()
        self.answer: Callable[[int], None] | None = None
        """Called with how many have just arrived."""
        self._moved: asyncio.Future[None] | None = None

    def expect(self, total: int) -> None:
        """Begin to count; `complete` is set once this many have arrived."""
        self.arrived, self.wanted = 0, total
        self.complete.clear()

    def add(self, count: int) -> None:
        """So many more."""
        self.arrived += count
        if self.wanted and self.arrived >= self.wanted:
            self.complete.set()
        if count and self.answer is not None:
            self.answer(count)
        self._wake()

    def end(self) -> None:
        """No more will come: nobody need wait."""
        self.complete.set()
        self._wake()

    async def moved(self) -> None:
        """Wait for the next arrival, or the end."""
        if not self.complete.is_set():
            self._moved = asyncio.get_running_loop().create_future()
            await self._moved

    def _wake(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)


class Load:
    """One end of the load: sends `total` stanzas when told to, counts those that arrive.

    `tally`: where they are counted together with those of other ends.
    """

    def __init__(self, tally: Tally | None = None) -> None:
        self.ready = asyncio.Event()
        self.tally = tally or Tally()
        self.lost = asyncio.Event()
        self.closed: StreamClosed | None = None
        self._tail = b""
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._layer: Layer | None = None

    @property
    def arrived(self) -> int:
        """Stanzas counted."""
        return self.tally.arrived

    @property
    def complete(self) -> asyncio.Event:
        """Set once as many have arrived as were expected, or none will any more."""
        return self.tally.complete

    @property
    def may_write(self) -> bool:
        """Whether the other side keeps up."""
        return self._may_write.is_set()

    def expect(self, total: int) -> None:
        """Begin to count; `complete` is set once this many have arrived."""
        self.tally.expect(total)

    async def send(self, stanza: bytes, total: int) -> None:
        """Send the stanza `total` times, as fast as the other side takes it."""
        per_chunk = max(1, CHUNK_BYTES // len(stanza))
        chunk = stanza * per_chunk
        while total > 0:
            await self._may_write.wait()
            octets = chunk if total >= per_chunk else stanza * total
            total -= per_chunk
            self.write(octets)
            await asyncio.sleep(0)

    def write(self, octets: bytes) -> None:
        """Send, whether or not the other side keeps up. Raises ConnectionError."""
        if self._layer is None:
            raise ConnectionError("the connection is gone")
        self._layer.write(octets)

    def count(self, octets: bytes) -> None:
        """Stanza ends in these octets, also where one is split between reads."""
        keep = len(MARK) - 1  # too short to hold a mark, so what is found at the edge is new
        edge = self._tail + octets[:keep]
        found = octets.count(MARK) + edge.count(MARK)
        self._tail = (self._tail + octets[-keep:])[-keep:]
        self.tally.add(found)

    def counted(self, events: list[Event], octets: bytes) -> None:
        """Count from behind these octets on, which a stream core has read: `events` are of it."""
        self._tail = octets[1 - len(MARK) :]
        found = sum(event.counts.total for event in events if isinstance(event, RunReceived))
        if found:
            self.tally.add(found)

    def pause_writing(self) -> None:
        """The node does not keep up: wait."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write.set()

    def eof_received(self, clean: bool) -> None:
        """The node ended the connection."""
        if self._layer is not None:
            self._layer.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone: nobody need wait for anything of it."""
        self._layer = None
        self.tally.end()
        for awaited in (self.ready, self._may_write, self.lost):
            awaited.set()

    def close(self) -> None:
        """End the connection in order."""
        if self._layer is not None:
            self._layer.write(writer.CLOSING_TAG)
            self._layer.close()

    async def leave(self, patience_s: float) -> None:
        """End the stream and wait until the other side has ended the connection, or for so long."""
        if self._layer is None:
            return
        self._layer.write(writer.CLOSING_TAG)
        try:
            async with asyncio.timeout(patience_s):
                await self.lost.wait()
        except TimeoutError:
            if self._layer is not None:
                self._layer.close()


class Remote(Load):
    """A remote server that dials the node, over TLS, by SASL EXTERNAL, with bidi."""

    def __init__(self, pair: DomainPair, context: SSL.Context, tally: Tally | None = None) -> None:
        super().__init__(tally)
        self.pair = pair
        self._context = context
        policy = lenient((pair.sender,))
        self._loop = asyncio.get_running_loop()
        self._core = InitiatingStream(policy, lambda: "", pair, self._loop.time())

    async def connect(self, host: str, port: int) -> None:
        """Connect and negotiate; returns once stanzas may be sent."""
        transport, _ = await self._loop.create_connection(asyncio.Protocol, host, port)
        self._layer = PlainLayer(transport, self)
        self._act(self._core.open())
        await self.ready.wait()

    def _act(self, events: list[Event]) -> None:
        if (octets := self._core.bytes_to_send()) and self._layer is not None:
            self._layer.write(octets)
        for event in events:
            if isinstance(event, StartTls) and self._layer is not None:
                self._layer.flush()
                self._layer = TlsLayer(
                    self._layer.transport,
                    self._context,
                    self,
                    server_side=False,
                    server_name=self.pair.target,
                )
            elif isinstance(event, PairAuthorised) and event.may_send:
                self.ready.set()
            elif isinstance(event, StreamClosed):
                self.closed = event
                self.ready.set()
                self.tally.end()

    def tls_established(self, session: TlsSession) -> None:
        """Whom we talk to is not what is measured here."""
        self._act(self._core.tls_established(NO_CERTIFICATE, self._loop.time()))

    def tls_failed(self, reason: str) -> None:
        """Nothing to do but to stop waiting."""
        self.closed = StreamClosed(None, True, reason)
        self.ready.set()

    def data_received(self, octets: bytes) -> None:
        """Negotiate, then count."""
        if self.ready.is_set():
            self.count(octets)
            return
        events = self._core.receive_bytes(octets, self._loop.time())
        self._act(events)
        if self.ready.is_set():
            self.counted(events, octets)


class Component(Load):
    """A component (XEP-0114) attached to the node; `echo` sends everything back."""

    def __init__(
        self, domain: str, secret: str, reply: bytes = b"", tally: Tally | None = None
    ) -> None:
        super().__init__(tally)
        self._domain = domain
        self._secret = secret
        self._reply = reply
        self._received = b""

    async def connect(self, host: str, port: int) -> None:
        """Attach; returns once the node has answered the handshake."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
        self._layer = PlainLayer(transport, self)
        self._layer.write(
            f"<stream:stream xmlns='jabber:component:accept' to='{self._domain}'"
            " xmlns:stream='http://etherx.jabber.org/streams'>".encode()
        )
        await self.ready.wait()

    def data_received(self, octets: bytes) -> None:
        """Attach, then count."""
        if self.ready.is_set():
            before = self.arrived
            self.count(octets)
            if self._reply and self.arrived > before:
                self.write(self._reply * (self.arrived - before))
            return
        self._received += octets
        _, answer, after = self._received.partition(b"<handshake/>")
        if answer:
            self.ready.set()
            if after:  # what has waited for the component comes at once
                self.data_received(after)
        elif found := _STREAM_ID.search(self._received):
            digest = hashlib.sha1(found[1] + self._secret.encode()).hexdigest()
            self._received = b""
            self.write(f"<handshake>{digest}</handshake>".encode())


def lenient(hosted: Iterable[str]) -> Policy:
    """The policy of a server that hosts these domains and sets hardly any bounds."""
    limits = Limits(max_stanza_bytes=1 << 20, max_depth=64, max_attributes=64)
    domains = sorted(hosted)
    return Policy(
        perspective=outside(frozenset(domains)),
        default_domain=domains[0],
        secret=b"of no importance",
        rule=lambda domain: PeerRule(),
        limits=limits,
        before_proof=limits,
    )


def client_context(crt: str, key: str) -> SSL.Context:
    """A TLS client that presents a certificate and takes any."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(ssl.TLSVersion.TLSv1_2.value)
    context.use_certificate_chain_file(crt)
    context.use_privatekey_file(key)
    return context
