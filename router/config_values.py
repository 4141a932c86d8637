"""What one value of the configuration may be: addresses, domains, counts, with their checks.

A type here says what it accepts and in which form it comes out; which keys there are is
`router.config`'s to say. Standard library and `router.xmpp` only.
"""

import ipaddress
from typing import Annotated, Final, NamedTuple

from router.config_plain import Between
from router.xmpp import jid
from router.xmpp.link_local import checked_name
from router.xmpp.pair import DomainPair
from router.xmpp.perspective import BELOW

ANY_PEER: Final = "*"


class Address(NamedTuple):
    """A host (IP literal without brackets, or a name) and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """From "host:port" or "[IPv6]:port". Raises ValueError with the reason."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit():
            raise ValueError('an address is "host:port" or "[IPv6]:port"')
        if int(port) > 65_535:
            raise ValueError("a port is from 0 to 65535")
        if host.startswith("[") and host.endswith("]"):
            return cls(str(ipaddress.IPv6Address(host[1:-1])), int(port))
        if ":" in host:
            raise ValueError(f'an IPv6 address stands in brackets: "[{host}]:{port}"')
        if not host:
            raise ValueError('the host is missing; "[::]" and "0.0.0.0" stand for all addresses')
        try:
            return cls(str(ipaddress.IPv4Address(host)), int(port))
        except ValueError:
            if host.rpartition(".")[2].isdigit():
                raise
        return cls(jid.ascii_domain(host), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_literal(address: Address) -> Address:
    ipaddress.ip_address(address.host)
    return address


def _has_port(address: Address) -> Address:
    if not address.port:
        raise ValueError("port 0 stands for no port here")
    return address


def _is_jid(text: str) -> str:
    domain, (bare, slash, resource) = jid.domain_of(text), text.partition("/")
    local, at, _ = bare.rpartition("@")
    return local + at + domain + slash + resource


def _is_bare_domain(text: str) -> str:
    if "@" in text or "/" in text:
        raise ValueError("a localpart or resource is not available in this version; give a domain")
    return jid.domain(text)


def _is_hosted(text: str) -> str:
    below = text.removeprefix(BELOW)
    return text[: len(text) - len(below)] + jid.domain(below)


def _is_peer(text: str) -> str:
    return text if text == ANY_PEER else _is_hosted(text)


def _normal(pair: DomainPair) -> DomainPair:
    return DomainPair(jid.domain(pair.sender), jid.domain(pair.target))


def _is_on_one_link(address: Address) -> Address:
    if ipaddress.ip_address(address.host).is_unspecified:
        raise ValueError("which link? an address of this machine on it")
    return address


def _is_text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


ListenAddress = Annotated[Address, _is_literal]
ServerAddress = Annotated[Address, _is_literal, _has_port]
TargetAddress = Annotated[Address, _has_port]
HostedName = Annotated[str, _is_hosted]
PeerName = Annotated[str, _is_peer]
Pair = Annotated[DomainPair, _normal]
Jid = Annotated[str, _is_jid]
ServiceJid = Annotated[str, _is_bare_domain]
LinkAddress = Annotated[Address, _is_literal, _is_on_one_link]
LinkName = Annotated[str, checked_name]
Text = Annotated[str, _is_text]
Count = Annotated[int, Between(1, 1_000_000)]
Rate = Annotated[int, Between(0, 1 << 30)]
Bytes = Annotated[int, Between(1024, 1 << 30)]
Seconds = Annotated[float, Between(0.1, 86_400)]
Processors = Annotated[int, Between(1, 64)]
