"""Every connection an acceptor may have: its core, its certificate, its number.

Knows what differs between a peer that calls, a component, and a server that we call; what comes
of them is the acceptor's. Called by the listener and by the dialer.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, TypeVar

from OpenSSL import SSL

from router.acceptor.certificates.store import CertificateStore
from router.acceptor.connection import Connection, Hub
from router.acceptor.dialling.addresses import Listening
from router.acceptor.dialling.attempts import Approach
from router.acceptor.dialling.dns import Target
from router.acceptor.policies import inside_policy, stream_policy
from router.config import Config
from router.xmpp.component import ComponentStream
from router.xmpp.e2e import EndToEndStream
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.policy import Policy
from router.xmpp.receiving import ReceivingStream
from router.xmpp.xmlstream import XmlStream

_STREAM_ID_CHARS: Final = 32
_IDS_DRAWN_AT_ONCE: Final = 64


def _stream_ids() -> Iterator[str]:
    while True:
        drawn = secrets.token_hex(_STREAM_ID_CHARS // 2 * _IDS_DRAWN_AT_ONCE)
        for at in range(0, len(drawn), _STREAM_ID_CHARS):
            yield drawn[at : at + _STREAM_ID_CHARS]


_ids: Final = _stream_ids()

Kept = TypeVar("Kept", bound=Connection)


def new_stream_id() -> str:
    """A stream id no stranger can guess: 128 random bits, each used once (RFC 6120 §4.7.3)."""
    return next(_ids)


def _component_secrets(config: Config) -> dict[str, str]:
    return {
        name: domain.secret
        for name, domain in config.domains.items()
        if domain.attach == "component"
    }


class Openings:
    """Makes connections and keeps those that are open, by number."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop, config: Config) -> None:
        self._hub = hub
        self._loop = loop
        self._go_by(config)
        self._level = config.delivery.level
        self.lost: Callable[[DomainPair], tuple[str, int]] = lambda pair: ("", 0)
        """The lost stream that a new one for the pair is to go on with."""
        self.certificates = CertificateStore(config.tls.certificates, config.hosted)
        self._component_secrets = _component_secrets(config)
        self._next_number = 1
        self.open: dict[int, Connection] = {}
        self.listening = Listening()

    def reload(self, config: Config) -> list[str]:
        """Connections from now on go by another configuration; what is wrong with certificates."""
        self._go_by(config)
        self._level = config.delivery.level
        self._component_secrets = _component_secrets(config)
        return self.certificates.reload(config.tls.certificates, config.hosted)

    def _go_by(self, config: Config) -> None:
        self._outside = stream_policy(config)
        inner = replace(self._outside, tls_required=config.e2e.tls_required)
        self._by_leg = {"server": inside_policy(config), "e2e": inner}
        self._servers = config.servers

    def policy_of(self, leg: str) -> Policy:
        """What streams of this leg go by: "server" and "e2e" have their own."""
        return self._by_leg.get(leg, self._outside)

    def inbound(self, *, direct_tls: bool, leg: str = "s2s") -> Connection:
        """A connection a server opened: a remote one, or for the leg "server" one behind us."""
        now = self._loop.time()
        core = ReceivingStream(self.policy_of(leg), new_stream_id, now, direct_tls=direct_tls)

        def context() -> SSL.Context:
            if direct_tls:
                return self.certificates.direct_context()
            return self.certificates.starttls_context(core.local)

        return self._connection(core, "in", leg, context, direct_tls=direct_tls)

    def component(self) -> Connection:
        """A connection a component opened."""
        core = ComponentStream(
            self._outside, new_stream_id, self._component_secrets, self._loop.time()
        )
        return self._connection(core, "in", "component", None)

    def outbound(self, pair: DomainPair, target: Target, approach: Approach) -> Connection:
        """A connection we are about to open to `target`, for `pair`."""
        direct = target.tls == "direct"
        leg = "server" if pair.target in self._servers else "s2s"
        core = InitiatingStream(
            self.policy_of(leg),
            new_stream_id,
            pair,
            self._loop.time(),
            direct_tls=direct,
            has_certificate=approach.external and self.certificates.has_certificate(pair.sender),
            wants_bidi=approach.bidi,
        )
        core.lost = self.lost(pair)
        return self._connection(
            core,
            "out",
            leg,
            lambda: self.certificates.client_context(pair.sender, direct_tls=direct),
            server_name=pair.target,
            direct_tls=direct,
        )

    def inner(
        self, hub: Hub, core: EndToEndStream, direction: str, local: str, peer: str
    ) -> Connection:
        """An end-to-end stream, to be put on whatever transport was agreed on for it."""

        def context() -> SSL.Context:
            if direction == "in":
                return self.certificates.starttls_context(local)
            return self.certificates.client_context(local, direct_tls=False)

        return self._connection(core, direction, "e2e", context, server_name=peer, hub=hub)

    def keep(self, make: Callable[[int], Kept]) -> Kept:
        """Number a connection that somebody else makes, and keep it among the others."""
        number, self._next_number = self._next_number, self._next_number + 1
        made = make(number)
        self.open[number] = made
        return made

    def _connection(
        self,
        core: XmlStream,
        direction: str,
        leg: str,
        tls_context: Callable[[], SSL.Context] | None,
        *,
        server_name: str | None = None,
        direct_tls: bool = False,
        hub: Hub | None = None,
    ) -> Connection:
        return self.keep(
            lambda number: Connection(
                hub or self._hub,
                self._loop,
                core,
                number=number,
                direction=direction,
                leg=leg,
                tls_context=tls_context,
                server_name=server_name,
                direct_tls=direct_tls,
                level=self._level,
            )
        )
