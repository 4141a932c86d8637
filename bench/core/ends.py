"""One end of a journey: a connection of the node, and the peer that it believes to be there.

No socket is between them; what the one writes the other is handed. Used by `journey`.
"""

import asyncio
from typing import Any

from OpenSSL import SSL

from bench.core.alone import PAIR, header
from router.acceptor.certificates.contexts import client_context
from router.acceptor.connection import Connection, Hub
from router.acceptor.layer import CHUNK_BYTES, RECEIVE_BUFFER, Layer
from router.xmpp.receiving import ReceivingStream


class End:
    """A connection, the transport that it believes in, and the peer's half of its TLS."""

    def __init__(self, number: int, hub: Hub, core: ReceivingStream, context: SSL.Context) -> None:
        self.connection = Connection(
            hub,
            asyncio.get_running_loop(),
            core,
            number=number,
            direction="in",
            leg="s2s",
            tls_context=lambda: context,
            direct_tls=True,
        )
        self._transport = _Transport()
        self._peer = SSL.Connection(client_context(None, direct_tls=True), None)
        self._peer.set_connect_state()
        self.connection.connected(self._transport)
        layer = self._transport.protocol
        assert isinstance(layer, Layer)
        self.layer = layer
        while not self._shaken():
            self._feed(self._peer.bio_read(CHUNK_BYTES))
            self._peer.bio_write(self._transport.take())
        self._feed(self._peer.bio_read(CHUNK_BYTES))
        self._transport.keeps = False

    def _shaken(self) -> bool:
        try:
            self._peer.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def _feed(self, octets: bytes) -> None:
        RECEIVE_BUFFER[: len(octets)] = octets
        self.layer.buffer_updated(len(octets))

    def prove(self) -> None:
        """The stream begins and the pair may travel on it, either way."""
        core = self.connection.core
        assert isinstance(core, ReceivingStream)
        self._feed(self.seal(header()))
        core.peer_proved(PAIR, "external")
        core.grants.send[PAIR] = "external"
        core.bytes_to_send()

    def seal(self, octets: bytes) -> bytes:
        """Octets of the peer as TLS records."""
        sealed = bytearray()
        for at in range(0, len(octets), 16_384):
            self._peer.send(octets[at : at + 16_384])
            sealed += self._peer.bio_read(CHUNK_BYTES)
        return bytes(sealed)


class _Transport(asyncio.Transport):
    """Takes everything at once. What is written is kept while a handshake needs it."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.BaseProtocol | None = None
        self.keeps = True
        self._written = bytearray()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        if self.keeps:
            self._written += data

    def take(self) -> bytes:
        """What was written since the last time."""
        octets = bytes(self._written)
        self._written.clear()
        return octets

    def get_write_buffer_size(self) -> int:
        return 0
