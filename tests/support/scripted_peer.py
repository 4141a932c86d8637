"""A remote server that says literally what a test tells it to, over real sockets, in both roles.

`Wire` is one connection, octet by octet; `Peer` knows the usual openings. Nothing here judges: the
tests do, by what `Wire.received` has.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import cast

HOST = "127.0.0.1"
PATIENCE_S = 15.0
READ_BYTES = 65_536

STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
BIDI_FEATURE = "<bidi xmlns='urn:xmpp:features:bidi'/>"
DIALBACK_FEATURE = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
EXTERNAL_FEATURE = (
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    "</mechanisms>"
)
END = "</stream:stream>"


def header(sender: str | None, target: str | None, **more: str | None) -> str:
    """A stream header as servers send it; `more` replaces, adds or (None) removes attributes."""
    given = {"xmlns": "jabber:server", "from": sender, "to": target, "version": "1.0", **more}
    attributes = "".join(f" {name}='{value}'" for name, value in given.items() if value is not None)
    return (
        f"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'"
        f" xmlns:db='jabber:server:dialback'{attributes}>"
    )


def features(*offered: str) -> str:
    """Stream features."""
    return f"<stream:features>{''.join(offered)}</stream:features>"


def auth(identity: str, mechanism: str = "EXTERNAL") -> str:
    """SASL auth with the identity in base64."""
    data = base64.b64encode(identity.encode()).decode()
    return f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{data}</auth>"


def message(sender: str, target: str, number: int | str) -> str:
    """A message whose id is its number."""
    return f"<message from='{sender}' to='{target}' id='{number}'><body>hear me</body></message>"


def stream_id(octets: str) -> str:
    """The id in the last stream header of this text."""
    found: list[str] = re.findall(r"<stream:stream[^>]* id='([^']+)'", octets.replace('"', "'"))
    return found[-1]


class Wire:
    """One connection. `received` is all that came, decrypted; `until` moves a mark through it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._mark = 0
        self._is_deaf = False
        self.received = ""

    def write(self, text: str) -> None:
        """Send without waiting for room."""
        self._writer.write(text.encode())

    async def send(self, text: str | bytes) -> None:
        """Send in one write; a connection that the other side has reset takes nothing."""
        with suppress(ConnectionError):
            self._writer.write(text.encode() if isinstance(text, str) else text)
            await self._writer.drain()

    async def until(self, wanted: str) -> str:
        """What came since the mark, up to and including `wanted`; the mark is behind it then."""
        at = self.received.find(wanted, self._mark)
        async with asyncio.timeout(PATIENCE_S):
            while at < 0:
                searched = max(self._mark, len(self.received) - len(wanted))
                if not await self._more():
                    raise AssertionError(f"ended before {wanted!r}: {self.received[-4096:]!r}")
                at = self.received.find(wanted, searched)
        begin, self._mark = self._mark, at + len(wanted)
        return self.received[begin : self._mark]

    async def ended(self) -> str:
        """Everything from the mark to the end of the connection."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._more():
                pass
        begin, self._mark = self._mark, len(self.received)
        return self.received[begin:]

    async def closed_in_order(self) -> str:
        """Close the stream from this side and return all the rest that the other side had to say.

        What has not come by the closing tag never comes: a test of silence needs no clock.
        """
        await self.send(END)
        return await self.ended()

    async def start_tls(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        """Begin TLS, in the role the connection was opened in."""
        async with asyncio.timeout(PATIENCE_S):
            await self._writer.start_tls(context, server_hostname=server_name)

    async def close(self) -> None:
        """Drop the connection."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    def stop_reading(self) -> None:
        """Take nothing more off the socket; `until` and `ended` begin again."""
        self._transport.pause_reading()
        self._is_deaf = True

    def abort(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    @property
    def _transport(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self._writer.transport)

    async def _more(self) -> bool:
        if self._is_deaf:
            self._transport.resume_reading()
            self._is_deaf = False
        try:
            octets = await self._reader.read(READ_BYTES)
        except ConnectionError:
            return False
        self.received += octets.decode(errors="replace")
        return bool(octets)


class Peer:
    """A scripted server for `domain`, whose counterpart is the hosted domain `local`.

    `certificate` is the NAME.crt beside its NAME.key; it serves with it, and as a client presents
    it only if told so.
    """

    def __init__(
        self, domain: str, local: str, certificate: Path, presents_certificate: bool
    ) -> None:
        self.domain = domain
        self.local = local
        self.port = 0
        self._certificate = certificate
        self.presents_certificate = presents_certificate
        self._wires: asyncio.Queue[Wire] = asyncio.Queue()
        self._open = AsyncExitStack()

    # --- the connection ---

    async def dial(self, port: int, *, direct_tls: bool = False) -> Wire:
        """A TCP connection to the node; with `direct_tls`, TLS on it."""
        reader, writer = await asyncio.open_connection(
            HOST,
            port,
            limit=1 << 24,
            ssl=self.client_context() if direct_tls else None,
            server_hostname=self.local if direct_tls else None,
        )
        return self._kept(reader, writer)

    async def accepted(self) -> Wire:
        """The next connection the node has opened to us."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._wires.get()

    def unaccepted(self) -> int:
        """How many connections the node has opened that no test has asked for."""
        return self._wires.qsize()

    def _kept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Wire:
        wire = Wire(reader, writer)
        self._open.push_async_callback(wire.close)
        return wire

    def client_context(self) -> ssl.SSLContext:
        """A TLS client that takes any certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.presents_certificate:
            context.load_cert_chain(self._certificate, self._certificate.with_suffix(".key"))
        return context

    def server_context(self) -> ssl.SSLContext:
        """A TLS server that asks for no certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._certificate.with_suffix(".key"))
        return context

    # --- openings, as the initiating server ---

    def header(self, **more: str | None) -> str:
        """Our header to the hosted domain."""
        return header(self.domain, self.local, **more)

    async def secured(self, port: int) -> Wire:
        """Up to the features inside TLS."""
        wire = await self.dial(port)
        await wire.send(self.header())
        await wire.until("</stream:features>")
        await wire.send(STARTTLS)
        await wire.until(PROCEED)
        await wire.start_tls(self.client_context(), self.local)
        await wire.send(self.header())
        await wire.until("</stream:features>")
        return wire

    async def authenticated(self, port: int, *, bidi: bool = True) -> Wire:
        """Authenticated by SASL EXTERNAL; the restarted stream stands."""
        wire = await self.secured(port)
        await wire.send((BIDI if bidi else "") + auth(self.domain))
        await wire.until(SUCCESS)
        await wire.send(self.header())
        await wire.until("<stream:features")
        return wire

    # --- openings, as the receiving server ---

    async def greet(self, *offered: str, wire: Wire | None = None) -> Wire:
        """Take the node's next connection up to the features inside TLS, which are `offered`."""
        wire = wire or await self.accepted()
        await wire.until("<stream:stream")
        await wire.until(">")
        await wire.send(header(self.domain, self.local, id="plain") + features(STARTTLS))
        await wire.until(STARTTLS)
        await wire.send(PROCEED)
        await wire.start_tls(self.server_context())
        await wire.until("<stream:stream")
        await wire.until(">")
        await wire.send(header(self.domain, self.local, id="secure") + features(*offered))
        return wire

    async def admit(self, wire: Wire) -> None:
        """Accept the node's EXTERNAL and its restarted stream."""
        await wire.until("</auth>")
        await wire.send(SUCCESS)
        await wire.until("<stream:stream")
        await wire.until(">")
        await wire.send(header(self.domain, self.local, id="open") + features())

    # --- life ---

    async def _start(self) -> None:
        server = await asyncio.start_server(
            lambda reader, writer: self._wires.put_nowait(self._kept(reader, writer)),
            HOST,
            0,
            limit=1 << 24,
        )
        self.port = server.sockets[0].getsockname()[1]
        self._open.push_async_callback(server.wait_closed)
        self._open.callback(server.close)


@asynccontextmanager
async def scripted(
    domain: str, local: str, certificate: Path, *, presents_certificate: bool = True
) -> AsyncIterator[Peer]:
    """A peer that listens; all its connections end with the block."""
    peer = Peer(domain, local, certificate, presents_certificate)
    async with peer._open:
        await peer._start()
        yield peer
