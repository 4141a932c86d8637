"""Streams that an edited configuration concerns: those it lets in no more end, the others go on.

Called by the acceptor when it reloads.
"""

from collections.abc import Callable, Iterable

from router.acceptor.connection import Connection
from router.config import Config
from router.xmpp.component import ComponentStream
from router.xmpp.policy import Policy
from router.xmpp.s2s import ServerStream


def go_by(
    connections: Iterable[Connection], config: Config, policy_of: Callable[[str], Policy]
) -> None:
    """All streams follow the policy of their leg from now on.

    Those of a domain that is not hosted any more end with host-gone (RFC 6120 §4.9.3.5), those with
    a remote domain that is refused now with policy-violation, whatever else they carry.
    """
    for connection in connections:
        connection.core.policy = policy_of(connection.leg)
        if connection.end is None and (fault := _fault(connection, config)) is not None:
            connection.act(connection.core.fail(*fault))


def _fault(connection: Connection, config: Config) -> tuple[str, str] | None:
    core = connection.core
    if isinstance(core, ComponentStream):
        domain = config.domains.get(core.domain)
        is_gone = core.domain != "" and (domain is None or domain.attach != "component")
        return ("host-gone", f"{core.domain} is not hosted here any more") if is_gone else None
    if not isinstance(core, ServerStream):
        return None
    perspective = core.policy.perspective
    for left in sorted(each for each in _local_domains(core) if each not in perspective.ours):
        return "host-gone", f"{left} is not hosted here any more"
    if any(domain not in perspective.theirs for domain in _remote_domains(core)):
        return perspective.condition, perspective.text
    if any(config.refuses(domain) for domain in _remote_domains(core)):
        return "policy-violation", "this domain is not admitted here any more"
    return None


def _local_domains(core: ServerStream) -> set[str]:
    proved = {pair.sender for pair in core.grants.send} | {p.target for p in core.grants.receive}
    return {domain for domain in (core.local, *proved) if domain}


def _remote_domains(core: ServerStream) -> set[str]:
    proved = {pair.target for pair in core.grants.send} | {p.sender for p in core.grants.receive}
    return {domain for domain in (core.remote, *proved) if domain}
