"""The rules of `attach = "server"`, `[listen] inside` and `[inside]` that join several keys.

Called by `router.config_file` while it reads an operator's file; types and ranges stand with the
fields in `router.config`.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from router.config import Address, Config, Domain
from router.config_plain import Key, Refuse, written
from router.xmpp.perspective import BELOW

_EVERYWHERE: Final = ("::", "0.0.0.0")
_OF_SERVERS: Final = tuple(
    each.name for each in fields(Domain) if each.name not in ("attach", "secret", "secret_file")
)


def check_gateway(config: Config, raw: Mapping[str, Any], refuse: Refuse) -> None:
    """Tell `refuse` everything that is wrong; `raw` is what the file says and what it does not."""
    servers = [name for name, each in config.domains.items() if each.attach == "server"]
    for name, domain in config.domains.items():
        _check_domain(config, name, domain, raw["domains"], refuse)
    if servers and not config.listen.inside:
        refuse(("listen", "inside"), f"is missing; {servers[0]} reaches others through it")
    if config.listen.inside and not servers:
        refuse(("listen", "inside"), 'is for domains with attach = "server", and there is none')
    _check_ports(config, refuse)
    if servers and config.inside.secret_file == config.dialback.secret_file:
        refuse(("inside", "secret_file"), "must be another file than dialback.secret_file")


def _check_ports(config: Config, refuse: Refuse) -> None:
    """Who listens on every address would get what is for the inside, or no IPv4 any more."""
    for index, address in enumerate(config.listen.inside):
        for name in ("s2s", "s2s_direct_tls", "components"):
            for other in getattr(config.listen, name):
                if other.port == address.port != 0 and other.host in _EVERYWHERE:
                    reason = (
                        f"listen.{name} has port {other.port} of every address: name them there"
                    )
                    refuse(("listen", "inside", str(index)), f"{reason}, or take another port")


def check_secrets(config: Config, refuse: Refuse) -> None:
    """A key from inside must prove nothing outside, nor the other way round."""
    if config.inside.secret and config.inside.secret == config.dialback.secret:
        refuse(("inside", "secret_file"), "must not hold the same secret as dialback.secret_file")


def _check_domain(
    config: Config, name: str, domain: Domain, raw: Mapping[str, Any], refuse: Refuse
) -> None:
    key: Key = ("domains", name)
    if domain.attach == "component":
        if name.startswith(BELOW):
            refuse(key, 'goes with attach = "server" only; a component has one name')
        for each in _OF_SERVERS:
            if each in raw.get(name, {}):
                refuse((*key, each), 'goes with attach = "server" only')
        return
    for each in ("secret", "secret_file"):
        if getattr(domain, each):
            refuse((*key, each), 'goes with attach = "component" only')
    if domain.target is None:
        refuse((*key, "target"), "is missing: the address of the server")
    elif (taken := _listener_at(config, domain.target)) is not None:
        refuse((*key, "target"), f"is where we listen ourselves, by {written(taken)}")
    elif config.inside.trust_address and not _is_literal(domain.target):
        refuse((*key, "target"), "must be an IP address where inside.trust_address is true")


def _listener_at(config: Config, target: Address) -> Key | None:
    for name in ("s2s", "s2s_direct_tls", "components", "inside"):
        if target in getattr(config.listen, name):
            return "listen", name
    return None


def _is_literal(target: Address) -> bool:
    try:
        ipaddress.ip_address(target.host)
    except ValueError:
        return False
    return True
