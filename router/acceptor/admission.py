"""How many connections may be open before they have proved anything, per address and in all (X205).

The newest is refused at accept, before any XML. Called by the listener and by the acceptor.
"""

import ipaddress
from collections.abc import Callable
from functools import lru_cache

from router.config import Limits

_IPV6_PREFIX = 64


class Admission:
    """Counts unauthenticated inbound connections; a proof or the end takes one off.

    `has_room` says whether the acceptor takes any more connections at all.
    """

    def __init__(
        self, per_address: int, overall: int, has_room: Callable[[], bool] = lambda: True
    ) -> None:
        self._per_address = per_address
        self._overall = overall
        self._has_room = has_room
        self._unproved: dict[int, str] = {}
        self._by_source: dict[str, int] = {}

    def reload(self, limits: Limits) -> None:
        """Other bounds hold for those that come from now on."""
        self._per_address = limits.unauthenticated_per_address
        self._overall = limits.unauthenticated_connections

    def admit(self, connection: int, address: str, *, is_ours: bool = False) -> bool:
        """Whether a new connection from this IP address may stay.

        `is_ours`: it came to a port for what is hosted here, without which nothing that waits for
        it goes; a server behind us opens a stream for each remote domain, all from its address.
        """
        source = _source(address)
        if not (is_ours or self._has_room()):
            return False
        if len(self._unproved) >= self._overall:
            return False
        if not is_ours and self._by_source.get(source, 0) >= self._per_address:
            return False
        self._unproved[connection] = source
        self._by_source[source] = self._by_source.get(source, 0) + 1
        return True

    def settled(self, connection: int) -> None:
        """The connection has proved its domain, or is gone."""
        source = self._unproved.pop(connection, None)
        if source is None:
            return
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


@lru_cache(maxsize=1024)
def _source(address: str) -> str:
    """An IPv4 address, or the /64 an IPv6 address is in: what one operator holds."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((ip, _IPV6_PREFIX), strict=False))
    return str(ip)
