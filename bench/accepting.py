"""The load generator's accepting sides: a remote server that is dialled, and a mere sink.

`Accepting` takes the streams that a server under test opens when it has no bidi stream to answer
on, or does not speak XEP-0288. `Sink` and `Bare` have no XMPP: they are for what relays octets.
Called by the benchmarks, with ends of `bench.remote`.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, Self, cast

from OpenSSL import SSL

from bench.remote import Load, Tally, lenient
from router.acceptor.layer import Transport
from router.acceptor.plain import PlainLayer
from router.acceptor.tls import TlsLayer, TlsSession
from router.xmpp import writer
from router.xmpp.certificate import Verdict
from router.xmpp.events import Event, PairAuthorised, StartTls, StreamClosed
from router.xmpp.policy import Policy
from router.xmpp.receiving import ReceivingStream

HOST: Final = "127.0.0.1"
BACKLOG: Final = 2048


class _Anybody:
    """Whoever calls is who they say: whom we talk to is not what is measured here."""

    def proves(self, domain: str) -> Verdict:
        return Verdict(trusted=True, covers=True, reason="not looked at")


class Listener:
    """A listening socket on loopback whose connections `take` gets, from `async with` on."""

    def __init__(self, take: Callable[[Transport], None]) -> None:
        self.port = 0
        self._take = take
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Arriving(self._take), HOST, self.port, backlog=BACKLOG
        )
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()


class _Arriving(asyncio.Protocol):
    def __init__(self, take: Callable[[Transport], None]) -> None:
        self._take = take

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._take(cast(Transport, transport))  # uvloop's are no subclass of asyncio.Transport


class Accepting:
    """Remote domains that a server may dial, all on one port; `contexts` has one for each.

    SASL EXTERNAL is on offer to everybody. Streams live as long as the server wants them.
    """

    def __init__(self, contexts: dict[str, SSL.Context]) -> None:
        self.contexts = contexts
        self.policy: Policy = lenient(contexts)
        self.tally = Tally()
        self.streams: set[Dialled] = set()
        self.listener = Listener(lambda transport: self.streams.add(Dialled(self, transport)))

    def count_in(self, tally: Tally) -> None:
        """From now on what arrives on any of the streams counts here."""
        self.tally = tally
        for stream in self.streams:
            stream.tally = tally


class Dialled(Load):
    """A stream that a server opened to one of our domains: it proves itself, then we count."""

    def __init__(self, home: Accepting, transport: Transport) -> None:
        super().__init__(home.tally)
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._core = ReceivingStream(home.policy, secrets.token_hex, self._loop.time())
        self._layer = PlainLayer(transport, self)

    def data_received(self, octets: bytes) -> None:
        """Negotiate, then count."""
        if self.ready.is_set():
            self.count(octets)
            if octets.endswith(writer.CLOSING_TAG):
                self.close()
            return
        events = self._core.receive_bytes(octets, self._loop.time())
        self._act(events)
        if self.ready.is_set():
            self.counted(events, octets)

    def tls_established(self, session: TlsSession) -> None:
        """Take any certificate."""
        self._act(self._core.tls_established(_Anybody(), self._loop.time()))

    def tls_failed(self, reason: str) -> None:
        """The server gives up; its own log says why."""
        self.closed = StreamClosed(None, True, reason)
        self._home.streams.discard(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        self._home.streams.discard(self)
        self.lost.set()
        if self.ready.is_set():
            super().connection_lost(error)

    def _act(self, events: list[Event]) -> None:
        if (octets := self._core.bytes_to_send()) and self._layer is not None:
            self._layer.write(octets)
        for event in events:
            if isinstance(event, StartTls) and self._layer is not None:
                self._layer.flush()
                self._layer = TlsLayer(
                    self._layer.transport,
                    self._home.contexts[self._core.local],
                    self,
                    server_side=True,
                )
            elif isinstance(event, PairAuthorised) and not event.may_send:
                self.ready.set()
            elif isinstance(event, StreamClosed) and self._layer is not None:
                self.closed = event
                self._layer.close()


class Bare(Load):
    """One end of a connection without XMPP, over TLS with a `context`, in plaintext without."""

    def __init__(
        self,
        transport: Transport,
        context: SSL.Context | None,
        *,
        server_side: bool,
        tally: Tally,
    ) -> None:
        super().__init__(tally)
        if context is None:
            self._layer = PlainLayer(transport, self)
            self.ready.set()
        else:
            self._layer = TlsLayer(transport, context, self, server_side=server_side)

    def tls_established(self, session: TlsSession) -> None:
        """Ready."""
        self.ready.set()

    def tls_failed(self, reason: str) -> None:
        """Tell whoever waits."""
        self.closed = StreamClosed(None, True, reason)
        self.ready.set()

    def data_received(self, octets: bytes) -> None:
        """Count."""
        self.count(octets)

    def close(self) -> None:
        """End the connection; there is no stream on it."""
        if self._layer is not None:
            self._layer.close()

    async def leave(self, patience_s: float) -> None:
        """End it and wait until it is gone."""
        self.close()
        await super().leave(patience_s)


def server_context(crt: str, key: str) -> SSL.Context:
    """A TLS server that asks for a certificate, takes any or none, and resumes no session."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"bench")
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.use_certificate_chain_file(crt)
    context.use_privatekey_file(key)
    return context


async def bare(port: int, context: SSL.Context | None, tally: Tally) -> Bare:
    """Connect to a port on loopback. Raises ConnectionError when TLS fails."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, HOST, port)
    end = Bare(transport, context, server_side=False, tally=tally)
    await end.ready.wait()
    if end.closed is not None:
        raise ConnectionError(end.closed.text)
    return end
