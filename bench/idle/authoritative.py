"""The server of all calling domains, to which the one under test turns with their dialback keys.

Every key is valid, whoever asks (XEP-0220 §2.2.2). It shows a certificate of an authority that
nobody trusts, so that dialback alone proves the domains. Called by `measure`.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast
from xml.sax.saxutils import unescape

from OpenSSL import SSL

from bench.authority import Authority
from router.acceptor.layer import Layer
from router.acceptor.plain import PlainLayer
from router.acceptor.tls import TlsLayer, TlsSession
from router.xmpp import writer

HOST: Final = "127.0.0.1"
_NAME: Final = "authoritative.lit"
_HEADER: Final = re.compile(rb"<stream:stream[^>]*>")
_STARTTLS: Final = re.compile(rb"<starttls[^>]*>")
_KEY: Final = re.compile(rb"<db:(verify|result)\s([^>]*)>[^<]*</db:\1>")
_ATTRIBUTE: Final = re.compile(rb"(from|to|id)=['\"]([^'\"]*)['\"]")


class Authoritative:
    """Listens from `async with` to its end; `accepted` counts the connections that came."""

    def __init__(self, directory: Path) -> None:
        self.accepted = 0
        self._open: set[_Answering] = set()
        self._server: asyncio.Server | None = None
        certificate, key = Authority.make(directory, "Nobody's CA").issue(_NAME)
        self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        self._context.use_certificate_chain_file(str(certificate))
        self._context.use_privatekey_file(str(key))

    @property
    def port(self) -> int:
        """Where it listens on loopback, for STARTTLS."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Accepted(self), HOST, 0, backlog=1024)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for each in list(self._open):
            each.abort()
        await self._server.wait_closed()

    def begin(self, transport: asyncio.Transport) -> None:
        """A connection came."""
        self.accepted += 1
        self._open.add(_Answering(transport, self._context, self._open.discard))


class _Accepted(asyncio.Protocol):
    def __init__(self, server: Authoritative) -> None:
        self._authoritative = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._authoritative.begin(cast(asyncio.Transport, transport))


class _Answering:
    """One connection: headers and features twice, with STARTTLS between, then answers."""

    def __init__(
        self,
        transport: asyncio.Transport,
        context: SSL.Context,
        gone: Callable[["_Answering"], None],
    ) -> None:
        self._transport = transport
        self._context = context
        self._gone = gone
        self._heard = b""
        self._is_secure = False
        self._layer: Layer = PlainLayer(transport, self)

    def abort(self) -> None:
        """Drop the connection."""
        self._layer.abort()

    def data_received(self, octets: bytes) -> None:
        """Answer what is complete."""
        self._heard += octets
        if found := _HEADER.search(self._heard):
            self._heard = self._heard[found.end() :]
            feature = (
                writer.DIALBACK_FEATURE if self._is_secure else writer.STARTTLS_REQUIRED_FEATURE
            )
            self._layer.write(_header(found[0]) + writer.features(feature))
        if not self._is_secure and _STARTTLS.search(self._heard):
            self._heard = b""
            self._layer.write(writer.PROCEED)
            self._layer.flush()
            self._layer = TlsLayer(self._transport, self._context, self, server_side=True)
            return
        said, self._heard = answer(self._heard)
        self._layer.write(said)
        if writer.CLOSING_TAG in self._heard:
            self._layer.write(writer.CLOSING_TAG)
            self._layer.close()

    def tls_established(self, session: TlsSession) -> None:
        """The stream begins anew."""
        self._is_secure = True

    def tls_failed(self, reason: str) -> None:
        """The one under test sees that itself."""

    def eof_received(self, clean: bool) -> None:
        """It wants no more answers."""
        self._layer.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._gone(self)

    def pause_writing(self) -> None:
        """So little is written that nothing can pile up."""

    def resume_writing(self) -> None:
        """Never paused."""


def _header(theirs: bytes) -> bytes:
    given = _given(theirs)
    return writer.server_header(
        sender=given.get("to"), target=given.get("from"), stream_id=secrets.token_hex(8)
    )


def _given(tag: bytes) -> dict[str, str]:
    """The addresses and the id of a tag."""
    return {
        name.decode(): unescape(value.decode(), {"&apos;": "'", "&quot;": '"'})
        for name, value in _ATTRIBUTE.findall(tag)
    }


def answer(heard: bytes) -> tuple[bytes, bytes]:
    """ "Valid" to every complete dialback element, and what is left of the octets."""
    said = []
    while found := _KEY.search(heard):
        heard = heard[found.end() :]
        said.append(_valid(found))
    return b"".join(said), heard


def _valid(asked: re.Match[bytes]) -> bytes:
    name, given = asked[1].decode(), _given(asked[2])
    said = {"from": given["to"], "to": given["from"], "id": given.get("id"), "type": "valid"}
    return f"<db:{name}{writer.attributes(said)}/>".encode()
