"""Who judges which peer: remote servers by one set of trust anchors, those behind us by another.

Where `[inside] trust_address` is true, the address that a connection leads to counts inside like a
certificate. Called by the acceptor, which makes one `Judges`.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

from router.acceptor.certificates.verdict import Verifier
from router.acceptor.connection import Connection
from router.acceptor.tls import TlsSession
from router.config import Config
from router.xmpp.certificate import NO_CERTIFICATE, Evidence, Verdict

_ITS_ADDRESS: Final = Verdict(True, True, "the connection leads to the address of its server")


@dataclass(frozen=True, slots=True)
class _At:
    """What an address proves, and beside it the certificate."""

    address: str
    config: Config
    certificate: Evidence

    def proves(self, domain: str) -> Verdict:
        server = self.config.domain(domain)
        if server is not None and server.target is not None and server.target.host == self.address:
            return _ITS_ADDRESS
        return self.certificate.proves(domain)


class Judges:
    """The judges of one acceptor. Raises TrustAnchorError."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._outside = self._inside = Verifier(config.tls.trust_anchors)
        if config.inside.trust_anchors is not None:
            self._inside = Verifier(config.inside.trust_anchors)
        self.clock = self._outside.clock

    def reload(self, config: Config) -> list[str]:
        """Judge by another configuration; what is wrong with it, and then the old anchors stay."""
        self._config = config
        problems = self._outside.reload(config.tls.trust_anchors)
        anchors = config.inside.trust_anchors
        if anchors is None:
            self._inside = self._outside
        elif self._inside is self._outside:
            self._inside = Verifier(anchors)
        else:
            problems += self._inside.reload(anchors)
        return problems

    def evidence(self, connection: Connection, session: TlsSession | None) -> Evidence:
        """What there is for who is at the other end; without TLS, its address at best."""
        is_inside = connection.leg == "server"
        judge = self._inside if is_inside else self._outside
        certificate = judge.evidence(session.chain) if session is not None else NO_CERTIFICATE
        if is_inside and self._config.inside.trust_address and connection.peer is not None:
            return _At(_plain(connection.peer[0]), self._config, certificate)
        return certificate


def _plain(address: str) -> str:
    """An IPv4 address as such, also where a socket for both families has it."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
