"""One TCP connection of a fake, with TLS inside it from `start_tls` on, by pyOpenSSL over memory.

The standard library's TLS would end a handshake over a client certificate it does not like, which
a server that falls back to dialback must not do. Judges nothing.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from OpenSSL import SSL, crypto

READ_BYTES: Final = 65_536


class TlsFailed(Exception):
    """The handshake did not succeed."""


class Link:
    """Octets in and out. A connection that has broken reads b"" and swallows what is written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tls: SSL.Connection | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS has begun."""
        return self._tls is not None

    @property
    def chain(self) -> list[crypto.X509]:
        """The peer's certificates, its own first; empty when it gave none."""
        leaf = self._tls.get_peer_certificate() if self._tls is not None else None
        if self._tls is None or leaf is None:
            return []
        rest = self._tls.get_peer_cert_chain() or []
        return [leaf, *(each for each in rest if each != leaf)]

    async def read(self) -> bytes:
        """The next octets, decrypted; b"" at the end, however it came about."""
        while True:
            if self._tls is not None:
                try:
                    return self._tls.recv(READ_BYTES)
                except SSL.WantReadError:
                    pass
                except SSL.Error:
                    return b""
                finally:
                    self._flush()
            octets = await self._read_raw()
            if self._tls is None or not octets:
                return octets
            self._tls.bio_write(octets)

    def write(self, octets: bytes) -> None:
        """Send without waiting for room."""
        if self._tls is None:
            self._write_raw(octets)
            return
        with suppress(SSL.Error):
            self._tls.sendall(octets)
        self._flush()

    async def start_tls(
        self, context: SSL.Context, *, server_side: bool, server_name: str = ""
    ) -> None:
        """Do the handshake. Raises TlsFailed."""
        tls = SSL.Connection(context, None)
        if server_side:
            tls.set_accept_state()
        else:
            tls.set_connect_state()
            tls.set_tlsext_host_name(server_name.encode("idna"))
        self._tls = tls
        while True:
            try:
                tls.do_handshake()
                return
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                raise TlsFailed(str(error)) from None
            finally:
                self._flush()
            octets = await self._read_raw()
            if not octets:
                raise TlsFailed("the connection ended in the handshake")
            tls.bio_write(octets)

    def close(self) -> None:
        """Close the connection once all is sent."""
        self._writer.close()

    def abort(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    async def _read_raw(self) -> bytes:
        try:
            return await self._reader.read(READ_BYTES)
        except OSError:
            return b""

    def _write_raw(self, octets: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(octets)

    def _flush(self) -> None:
        with suppress(SSL.WantReadError):
            while self._tls is not None:
                self._write_raw(self._tls.bio_read(READ_BYTES))


def server_context(certificate: Path, key: Path) -> SSL.Context:
    """Asks for a certificate and takes any, or none."""
    context = _context(SSL.TLS_SERVER_METHOD)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    _show(context, certificate, key)
    return context


def client_context(certificate: Path | None, key: Path) -> SSL.Context:
    """Presents the certificate, if there is one, and takes any."""
    context = _context(SSL.TLS_CLIENT_METHOD)
    if certificate is not None:
        _show(context, certificate, key)
    return context


def _context(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    return context


def _show(context: SSL.Context, certificate: Path, key: Path) -> None:
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(key))
