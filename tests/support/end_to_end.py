"""Two services with end-to-end streams, in one loop: what either says, the other hears.

Real sessions, bytestreams, connections and TLS; what lies around them writes down what it is told.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench.authority import Authority
from router.acceptor.connection import Connection
from router.acceptor.e2e.hub import InnerHub
from router.acceptor.e2e.listing import Listing
from router.acceptor.e2e.service import Service
from router.acceptor.openings import Openings
from router.acceptor.tls import TlsSession
from router.config import Config, Dial, Domain, E2e, Express, Tls
from router.wire.frames import Frame, Granted
from router.xmpp.certificate import NO_CERTIFICATE, Evidence
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import Changing
from tests.support.nodes import CAPULET, MONTAGUE

RELAYS = {MONTAGUE: f"relay.{MONTAGUE}", CAPULET: f"relay.{CAPULET}"}


def other(domain: str) -> str:
    return CAPULET if domain == MONTAGUE else MONTAGUE


def config_of(domain: str, authority: Authority, **e2e: Any) -> Config:
    """The configuration of one of two nodes with an express lane between them."""
    lane = Express(RELAYS[other(domain)], (DomainPair(domain, other(domain)),))
    settings: dict[str, Any] = {"express": (lane,), **e2e}
    return Config(
        domains={domain: Domain("component", secret="x")},
        tls=Tls(certificates=authority.directory, trust_anchors=str(authority.anchors)),
        dial=Dial(allow_private_addresses=True),
        e2e=E2e(RELAYS[domain], **settings),
    )


class Side(Changing):
    """One of the two: a service, and an acceptor that writes down what comes of it."""

    def __init__(self, domain: str, config: Config) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.domain, self.address = domain, config.service
        self.frames: list[Frame] = []
        self.runs: list[tuple[DomainPair, bytes]] = []
        self.refused: list[bytes] = []
        self.said: list[bytes] = []
        self.lost_streams: list[Connection] = []
        self.deliver: Callable[[DomainPair, bytes], None] = lambda pair, octets: None
        self.openings = Openings(self, loop, config)  # type: ignore[arg-type]
        around: Any = self
        self.hub = InnerHub(around, self.openings, around, around, around, self._frame)
        self.service = Service(
            loop, config, Listing(config.e2e), self.openings, self.hub, self._send
        )
        self._loop = loop

    # --- what lies around ---

    def _send(self, pair: DomainPair, counts: Counts, octets: bytes) -> None:
        self.said.append(octets)
        self._loop.call_soon(self.deliver, pair, octets)
        self.changed()

    def _frame(self, shard: int, frame: Frame) -> None:
        self.frames.append(frame)
        self.changed()

    def evidence(self, connection: Connection, session: TlsSession | None) -> Evidence:
        return NO_CERTIFICATE

    def run_received(
        self, connection: Connection, pair: DomainPair, counts: Counts, octets: bytes
    ) -> None:
        self.runs.append((pair, octets))
        self.changed()

    def stanza_refused(
        self, connection: Connection, pair: DomainPair, octets: bytes, _: Any
    ) -> None:
        self.refused.append(octets)
        self.changed()

    def stream_gone(self, connection: Connection) -> None:
        self.changed()

    def drained(self, connection: Connection) -> None:
        self.changed()

    def gone(self, connection: Connection) -> None:
        self.lost_streams.append(connection)
        self.changed()

    # --- what tests ask ---

    def granted(self) -> list[DomainPair]:
        """Pairs that workers have been told of."""
        return [frame.pair for frame in self.frames if isinstance(frame, Granted)]

    def streams(self) -> list[Connection]:
        """Inner streams that are there."""
        return [each for each in self.openings.open.values() if each.leg == "e2e"]

    def open(self) -> None:
        """Begin a session with the other side."""
        self.service.sessions.open(RELAYS[other(self.domain)])
        self.service.go_on()


def joined(
    authority: Authority, here: dict[str, Any] | None = None, there: dict[str, Any] | None = None
) -> tuple[Side, Side]:
    """Both sides, each with its own settings of [e2e]; whatever one says reaches the other."""
    for relay in RELAYS.values():
        authority.issue(relay)
    sides = [
        Side(domain, replace(config_of(domain, authority, **(settings or {}))))
        for domain, settings in ((MONTAGUE, here), (CAPULET, there))
    ]
    for side, peer in (sides, sides[::-1]):
        side.deliver = lambda pair, octets, peer=peer: peer.service.received(octets)  # type: ignore[misc]
    return sides[0], sides[1]
