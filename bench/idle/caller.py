"""Remote servers that connect, prove their domain and fall silent: thousands of streams, cheaply.

Each `Caller` plays a fixed conversation and looks only for the marks that end the answers, so that
thousands of them cost the generator little. Nothing here judges the peer. Called by `measure`.
"""

import asyncio
import contextlib
import re
from typing import Final, Literal

from OpenSSL import SSL

from router.acceptor.layer import Layer
from router.acceptor.plain import PlainLayer
from router.acceptor.tls import TlsLayer, TlsSession
from router.xmpp import external, names, writer

Auth = Literal["external", "dialback"]
AUTHS: Final[tuple[Auth, ...]] = ("external", "dialback")

_FEATURES_END: Final = re.compile(rb"</stream:features>|<stream:features[^>]*/>")
_PROCEED: Final = re.compile(rb"<proceed[^>]*>")
_SUCCESS: Final = re.compile(rb"<success[^>]*>")
_RESULT: Final = re.compile(rb"<db:result[^>]*?type=['\"](\w+)['\"]")
_CLOSED: Final = re.compile(re.escape(writer.CLOSING_TAG))
_OVER: Final = re.compile(rb"<stream:error.*|</stream:stream>|<failure.*", re.DOTALL)
_KEY: Final = "0123456789abcdef" * 4  # what the authoritative server says of it is always "valid"
_BIDI: Final = f"<bidi xmlns='{names.BIDI}'/>".encode()


def client_context(certificate: str = "", key: str = "") -> SSL.Context:
    """A TLS client that takes any server, and shows what is in these PEM files, or nothing."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    if certificate:
        context.use_certificate_chain_file(certificate)
        context.use_privatekey_file(key)
    return context


class CallError(ConnectionError):
    """A stream was not set up; says what came instead."""


class Caller:
    """One stream from `domain` to `target`, from the TCP connection to its proof and its end.

    `context` is the TLS client that shows the domain's certificate, for EXTERNAL, or none, for
    dialback. With `bidi` it asks for XEP-0288 where that is offered.
    """

    def __init__(
        self, domain: str, target: str, context: SSL.Context, auth: Auth, *, bidi: bool
    ) -> None:
        self.domain = domain
        self._target = target
        self._context = context
        self._auth = auth
        self._bidi = bidi
        self._layer: Layer | None = None
        self._heard = b""
        self._news = asyncio.Event()
        self._secured = asyncio.Event()
        self._gone = asyncio.Event()
        self._failure = ""

    async def connect(self, host: str, port: int) -> None:
        """Set the stream up; returns once the domain is proved. Raises CallError."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
        self._layer = PlainLayer(transport, self)
        await self._begun()
        self._write(writer.STARTTLS)
        await self._until(_PROCEED)
        self._layer.flush()
        self._layer = TlsLayer(
            transport, self._context, self, server_side=False, server_name=self._target
        )
        await self._secured.wait()
        offered = await self._begun()
        if self._bidi and names.BIDI_FEATURE.encode() in offered:
            self._write(_BIDI)
        await (self._by_certificate() if self._auth == "external" else self._by_key())

    async def close(self) -> None:
        """Close in order: returns once the server has answered and the socket is gone."""
        if self._layer is not None:
            self._write(writer.CLOSING_TAG)
            with contextlib.suppress(CallError):
                await self._until(_CLOSED)
            self._hang_up()
            await self._gone.wait()

    @property
    def is_open(self) -> bool:
        """Whether the stream still stands."""
        return self._layer is not None and not self._failure

    async def _by_certificate(self) -> None:
        self._write(external.auth(self.domain))
        await self._until(_SUCCESS)
        await self._begun()

    async def _by_key(self) -> None:
        given = writer.attributes({"from": self.domain, "to": self._target})
        self._write(f"<db:result{given}>{_KEY}</db:result>".encode())
        answer = await self._until(_RESULT)
        if not answer.endswith((b"'valid'", b'"valid"')):
            raise CallError(f"{self.domain}: {answer.decode(errors='replace')}")

    async def _begun(self) -> bytes:
        self._write(writer.server_header(sender=self.domain, target=self._target, stream_id=None))
        return await self._until(_FEATURES_END)

    def _write(self, octets: bytes) -> None:
        if self._layer is None:
            raise CallError(f"{self.domain}: the connection is gone")
        self._layer.write(octets)

    async def _until(self, mark: re.Pattern[bytes]) -> bytes:
        """What came up to the end of `mark`; it is forgotten then."""
        while not (found := mark.search(self._heard)):
            over = _OVER.search(self._heard)
            if self._failure or over is not None:
                said = over[0].decode(errors="replace") if over is not None else self._failure
                raise CallError(f"{self.domain}: {said}")
            self._news.clear()
            await self._news.wait()
        octets, self._heard = self._heard[: found.end()], self._heard[found.end() :]
        return octets

    def _hang_up(self) -> None:
        if self._layer is not None:
            self._layer.close()

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._news.set()
        self._secured.set()

    # --- what the layers report ---

    def tls_established(self, session: TlsSession) -> None:
        """Whom we talk to is not what is measured here."""
        self._secured.set()

    def tls_failed(self, reason: str) -> None:
        """Nothing to do but to stop waiting."""
        self._fail(reason)

    def data_received(self, octets: bytes) -> None:
        """Keep it for whoever waits."""
        self._heard += octets
        self._news.set()

    def eof_received(self, clean: bool) -> None:
        """The server ended the connection."""
        self._fail("the server ended the connection")
        self._hang_up()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone: nobody need wait for anything of it."""
        self._layer = None
        self._fail("the connection is gone")
        self._gone.set()

    def pause_writing(self) -> None:
        """So little is written that nothing can pile up."""

    def resume_writing(self) -> None:
        """Never paused."""
