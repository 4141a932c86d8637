"""slixmpp as the other side, in memory: its stanzas come out, ours go in, no server between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from slixmpp import ComponentXMPP
from slixmpp.xmlstream import StanzaBase

from router.xmpp import names
from router.xmpp.reader import Fault, Limits, Reader, Run
from router.xmpp.stanza import Stanza, cut

HEADER = (
    b"<stream:stream xmlns='jabber:component:accept'"
    b" xmlns:stream='http://etherx.jabber.org/streams' id='1' from='%b'>"
)


class _Transport(asyncio.Transport):
    """What slixmpp writes into."""

    def __init__(self, received: Callable[[bytes], None]) -> None:
        super().__init__()
        self._received = received

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self._received(bytes(data))

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Slix(ComponentXMPP):
    """A slixmpp component whose stanzas go to `on_stanza`, as the strict reader cuts them."""

    def __init__(self, domain: str, on_stanza: Callable[[Stanza], None]) -> None:
        super().__init__(domain, "secret", "127.0.0.1", 1, fix_error_ns=True)  # type: ignore[no-untyped-call]
        self._reader = Reader(names.COMPONENT, Limits(262_144, 16, 64))
        self._on_stanza = on_stanza
        self.add_filter("out_sync", self._addressed)

    def take(self, stanza: bytes) -> None:
        """Hand a neutral stanza to slixmpp."""
        self.data_received(stanza)

    def _addressed(self, stanza: StanzaBase) -> StanzaBase:
        """A component's stanzas have a `from` (XEP-0114 §3); slixmpp's activation has none."""
        if not stanza.xml.get("from"):
            stanza["from"] = self.boundjid
        return stanza

    def _received(self, octets: bytes) -> None:
        tokens = self._reader.feed(octets)
        while tokens:
            for token in tokens:
                assert not isinstance(token, Fault), token
                if isinstance(token, Run):
                    for stanza in cut(token.octets):
                        self._on_stanza(stanza)
            tokens = self._reader.feed(b"")


@asynccontextmanager
async def slixmpp(
    domain: str, on_stanza: Callable[[Stanza], None], **plugins: dict[str, object]
) -> AsyncIterator[Slix]:
    """slixmpp, with these plugins and their settings, as if attached to a server."""
    peer = Slix(domain, on_stanza)
    for name, settings in plugins.items():
        peer.register_plugin(name, settings)
    peer.init_plugins()
    sending = asyncio.ensure_future(peer.run_filters())
    try:
        peer.connection_made(_Transport(peer._received))
        peer.data_received(HEADER % domain.encode() + b"<handshake/>")
        yield peer
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
