"""All of end-to-end streams in one acceptor, joined: what the acceptor holds and speaks to.

Without an address, or with nobody who may open a session, there is only what is answered without.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING

from router.acceptor.connection import Connection, Hub
from router.acceptor.e2e.express import Express
from router.acceptor.e2e.hub import InnerHub
from router.acceptor.e2e.listing import Listing
from router.acceptor.e2e.outer_server import OuterServer
from router.acceptor.e2e.port import Attachment, Bus
from router.acceptor.e2e.service import Service
from router.acceptor.egress import Egress
from router.acceptor.ingress import Ingress
from router.acceptor.liveness import Liveness
from router.acceptor.openings import Openings
from router.config import Config
from router.wire.frames import AttachAnswer
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts

if TYPE_CHECKING:
    from router.acceptor.e2e.lan import Lan


class EndToEnd:
    """`begin` once the parts it speaks to are there. `attached`: the acceptor's hosted domains."""

    def __init__(self, config: Config) -> None:
        self.listing = Listing(config.e2e)
        self._config = config
        self._attachment: Attachment | None = None
        self._service: Service | None = None
        self._express: Express | None = None
        self._server: OuterServer | None = None
        self._lan: Lan | None = None
        self._send_inside: Callable[[DomainPair, Counts, bytes], None] = lambda *what: None

    def begin(
        self,
        hub: Hub,
        loop: asyncio.AbstractEventLoop,
        openings: Openings,
        ingress: Ingress,
        egress: Egress,
        liveness: Liveness,
        bus: Bus,
        attached: MutableMapping[str, Connection],
    ) -> None:
        """Ask for the address, if there can be sessions."""
        config = self._config
        if not config.service or not self.listing.has_anybody():
            return
        around = (hub, openings, ingress, egress, liveness, bus.to_shard)
        inner = InnerHub(*around)
        service = Service(loop, config, self.listing, openings, inner, self._send)
        self._send_inside = ingress.send
        peers = [lane.peer for lane in config.e2e.express]
        express = Express(loop, config.service, peers, service.sessions.has_peer, self.open)
        service.sessions.over = express.over
        if config.e2e.server is not None:
            ways = (service.received, service.undelivered, express.begin)
            self._server = OuterServer(loop, config, openings, ingress, *ways)
        if config.e2e.lan is not None:
            from router.acceptor.e2e.lan import Lan  # with a library that not everybody has

            on_link = InnerHub(*around)
            self._lan = Lan(loop, config, config.e2e.lan, self.listing, openings, on_link)
        self._service, self._express = service, express
        self._attachment = Attachment(
            hub,
            loop,
            config.service,
            openings,
            bus,
            attached,
            service.received,
            self._began,
            self._ended,
        )

    def _began(self) -> None:
        if self._service is not None and self._express is not None:
            self._service.socks5.open()
            (self._server or self._express).begin()
        if self._lan is not None:
            self._lan.begin()

    def _ended(self) -> None:
        if self._service is not None and self._express is not None:
            self._service.socks5.close()
            if self._server is not None:
                self._server.end()
            self._express.end()
        if self._lan is not None:
            self._lan.end()

    def _send(self, pair: DomainPair, counts: Counts, octets: bytes) -> None:
        """What the address says: to hosted domains inside, to others where it is served."""
        if self._server is not None and pair.target not in self._config.hosts:
            self._server.send(pair, counts, octets)
        else:
            self._send_inside(pair, counts, octets)

    def undelivered(self, pair: DomainPair, octets: bytes, error: StanzaError) -> None:
        """Stanzas of our making found no way."""
        if self._service is not None and self.is_here():
            self._service.undelivered(pair, octets, error)

    def answered(self, frame: AttachAnswer) -> None:
        """The worker's word on who has the address."""
        if self._attachment is not None and frame.request == self._attachment.port.number:
            self._attachment.answered(frame.accepted)

    def is_here(self) -> bool:
        """Whether this acceptor has the sessions."""
        return self._attachment is not None and self._attachment.is_held()

    def open(self, peer: str) -> str:
        """Begin a session with this address; its sid. Raises JidError for what is none."""
        assert self._service is not None, "nobody here has sessions"
        key = self._service.sessions.open(peer)
        self._service.go_on()
        return key.sid

    def rows(self) -> list[dict[str, object]]:
        """To show: one row a session, of the acceptor that has them."""
        return list(self._service.sessions.rows()) if self._service is not None else []

    def drain(self) -> None:
        """Begin nothing more, and close in order what there is; the address stays for the rest."""
        if self._express is not None and self._service is not None:
            self._express.end()
            self._service.sessions.close()
            self._service.go_on()
        if self._lan is not None:
            self._lan.close()

    def close(self) -> None:
        """Do nothing more."""
        if self._express is not None and self._service is not None:
            self._express.end()
            self._service.close()
        if self._lan is not None:
            self._lan.end()
        if self._attachment is not None:
            self._attachment.leave()
