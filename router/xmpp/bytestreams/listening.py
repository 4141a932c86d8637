"""Who may connect to our direct candidates, and which of our addresses are candidates at all.

Pure. The acceptor listens, runs `socks5.Socks5Server`, and asks here (S5B-08).
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Generic, TypeVar

Bytestream = TypeVar("Bytestream")


@dataclass(frozen=True, slots=True)
class _Expected(Generic[Bytestream]):
    bytestream: Bytestream
    until: float


class ExpectedConnections(Generic[Bytestream]):
    """Bytestreams whose other side may connect: each once, while it is pending (XEP-0065 §10.1).

    A hash is of no use after it was claimed or its time is over. At most `max_pending` at once.
    """

    def __init__(self, max_pending: int = 1024) -> None:
        self._max_pending = max_pending
        self._by_dstaddr: dict[str, _Expected[Bytestream]] = {}

    def __len__(self) -> int:
        return len(self._by_dstaddr)

    def expect(self, dstaddr: str, bytestream: Bytestream, until: float) -> bool:
        """Let one connection that asks for this hash in; False when there are too many."""
        if dstaddr in self._by_dstaddr or len(self._by_dstaddr) >= self._max_pending:
            return False
        self._by_dstaddr[dstaddr] = _Expected(bytestream, until)
        return True

    def claim(self, dstaddr: str, now: float) -> Bytestream | None:
        """The bytestream that a connection asks for; None: refuse it."""
        found = self._by_dstaddr.pop(dstaddr, None)
        return found.bytestream if found is not None and found.until > now else None

    def cancel(self, dstaddr: str) -> None:
        """The bytestream is no longer pending."""
        self._by_dstaddr.pop(dstaddr, None)

    def expire(self, now: float) -> None:
        """Forget what has waited long enough."""
        for dstaddr in [key for key, e in self._by_dstaddr.items() if e.until <= now]:
            del self._by_dstaddr[dstaddr]


def is_offerable(host: str, *, allow_private: bool) -> bool:
    """Whether a peer may be told this address of ours (XEP-0260 §6.1).

    A name is what the operator wrote for others to use. An address that nobody can connect to
    never is offered, a private one only where that is allowed.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return True
    if address.is_unspecified or address.is_multicast:
        return False
    return allow_private or address.is_global
