"""Every connection an acceptor may have: its core, its certificate, its number.

Knows what differs between a peer that calls, a component, and a server that we call; what comes
of them is the acceptor's. Called by the listener and by the dialer.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from typing import Final

from OpenSSL import SSL

from router.acceptor.certificates.store import CertificateStore
from router.acceptor.connection import Connection, Hub
from router.acceptor.dialling.addresses import Listening
from router.acceptor.dialling.attempts import Approach
from router.acceptor.dialling.dns import Target
from router.acceptor.policies import stream_policy
from router.config import Config
from router.xmpp.component import ComponentStream
from router.xmpp.initiating import InitiatingStream
from router.xmpp.pair import DomainPair
from router.xmpp.receiving import ReceivingStream
from router.xmpp.s2s import ServerStream

_STREAM_ID_CHARS: Final = 32
_IDS_DRAWN_AT_ONCE: Final = 64


def _stream_ids() -> Iterator[str]:
    while True:
        drawn = secrets.token_hex(_STREAM_ID_CHARS // 2 * _IDS_DRAWN_AT_ONCE)
        for at in range(0, len(drawn), _STREAM_ID_CHARS):
            yield drawn[at : at + _STREAM_ID_CHARS]


_ids: Final = _stream_ids()


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
        self.policy = stream_policy(config)
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
        self.policy = stream_policy(config)
        self._level = config.delivery.level
        self._component_secrets = _component_secrets(config)
        return self.certificates.reload(config.tls.certificates, config.hosted)

    def inbound(self, *, direct_tls: bool) -> Connection:
        """A connection a remote server opened."""
        core = ReceivingStream(self.policy, new_stream_id, self._loop.time(), direct_tls=direct_tls)

        def context() -> SSL.Context:
            if direct_tls:
                return self.certificates.direct_context()
            return self.certificates.starttls_context(core.local)

        return self._connection(core, "in", "s2s", context, direct_tls=direct_tls)

    def component(self) -> Connection:
        """A connection a component opened."""
        core = ComponentStream(
            self.policy, new_stream_id, self._component_secrets, self._loop.time()
        )
        return self._connection(core, "in", "component", None)

    def outbound(self, pair: DomainPair, target: Target, approach: Approach) -> Connection:
        """A connection we are about to open to `target`, for `pair`."""
        direct = target.tls == "direct"
        core = InitiatingStream(
            self.policy,
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
            "s2s",
            lambda: self.certificates.client_context(pair.sender, direct_tls=direct),
            server_name=pair.target,
            direct_tls=direct,
        )

    def _connection(
        self,
        core: ServerStream | ComponentStream,
        direction: str,
        leg: str,
        tls_context: Callable[[], SSL.Context] | None,
        *,
        server_name: str | None = None,
        direct_tls: bool = False,
    ) -> Connection:
        number, self._next_number = self._next_number, self._next_number + 1
        connection = self.open[number] = Connection(
            self._hub,
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
        return connection
