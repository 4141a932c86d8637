"""Where a remote domain is: by its static route, else by DNS, less what we may not dial.

Called by the dialer; the looking up is `dns`'s, the filter `addresses`'s.
"""

from collections.abc import Sequence

from router.acceptor.dialling.addresses import Listening, permitted
from router.acceptor.dialling.dns import Resolver, Target, Unresolvable
from router.acceptor.dialling.sharing import Place
from router.config import Address, Config


class Places:
    """What `config` routes and `resolver` finds; `listening` is where we would meet ourselves."""

    def __init__(
        self, config: Config, resolver: Resolver, listening: Listening | None = None
    ) -> None:
        self.config = config
        self._resolver = resolver
        self._listening = listening or Listening()

    async def targets(self, domain: str) -> tuple[Target, ...]:
        """The targets in order of attempt (RFC 6120 §3.2). Raises Unresolvable."""
        peer = self.config.peer(domain)
        if peer.target is None:
            return await self._resolver.targets(domain)
        return (Target(peer.target.host, peer.target.port, peer.target_tls),)

    async def addresses(self, domain: str, target: Target) -> list[str]:
        """The addresses of a target of the domain that may be dialled. Raises Unresolvable."""
        is_static = self.config.peer(domain).target is not None
        allow_private = is_static or self.config.dial.allow_private_addresses
        found = await self._resolver.addresses(target.host)
        return [
            address
            for address in found
            if permitted(address, allow_private)
            and (is_static or not self._is_within(Address(address, target.port)))
        ]

    def _is_within(self, place: Address) -> bool:
        """Whether it is ours, or of a server behind us: nobody reaches that one around us."""
        if self._listening.at(*place):
            return True
        return any(each.target == place for each in self.config.domains.values())

    async def of(self, domain: str, targets: Sequence[Target]) -> frozenset[Place]:
        """Every address and port of the best target; empty when it has none."""
        try:
            found = await self.addresses(domain, targets[0])
        except Unresolvable:
            return frozenset()
        return frozenset((address, targets[0].port) for address in found)
