"""Which addresses may be dialled, and a TCP connection to the first of several that answers.

Knows nothing of names or XMPP. Called by the dialer with what `dns` returned.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from itertools import chain, zip_longest
from typing import Final, TypeVar

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)

_EVERYWHERE: Final = "*"
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


def permitted(address: str, allow_private: bool) -> bool:
    """Whether an address that a stranger's DNS gave may be dialled.

    Without `allow_private` only globally reachable unicast is, also where an IPv6 address stands
    for an IPv4 one. Multicast, unspecified and IPv4-mapped addresses never are.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if parsed.is_multicast or parsed.is_unspecified:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return False
    return allow_private or _is_public(parsed)


class Listening:
    """The addresses and ports at which this process accepts servers: not to be dialled (D4)."""

    def __init__(self) -> None:
        self._bound: set[tuple[str, int]] = set()

    def add(self, address: str, port: int) -> None:
        """We accept here; the unspecified address is every one of this machine's."""
        self._bound.add((_EVERYWHERE if ip_address(address).is_unspecified else address, port))

    def at(self, address: str, port: int) -> bool:
        """Whether who dials this would meet ourselves."""
        if (address, port) in self._bound:
            return True
        return (_EVERYWHERE, port) in self._bound and _is_local(address)


def _is_local(address: str) -> bool:
    """Whether the address is this machine's: to those, the kernel speaks from themselves."""
    if ip_address(address).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # sends nothing
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address in _NAT64:
        return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.sixtofour:
        return _is_public(address.sixtofour)
    # Besides what the registry calls private: site-local, IPv4-compatible and unassigned blocks.
    return address.is_global and not address.is_site_local and not address.is_reserved


async def connect(
    loop: asyncio.AbstractEventLoop,
    addresses: Sequence[str],
    port: int,
    protocol_factory: Callable[[], Protocol],
    stagger_s: float = 0.25,
) -> tuple[asyncio.Transport, Protocol]:
    """Connects to one of the addresses (RFC 8305): the families take turns, the first one leads.

    The next attempt starts when the last one failed or after `stagger_s`; the first to succeed
    wins, the others are closed, and one protocol is made. The caller limits the time.
    Raises OSError with the reasons of all when none succeeds.
    """
    winner = await _race(loop, _by_turns(addresses), port, stagger_s)
    try:
        return await loop.create_connection(protocol_factory, sock=winner)
    except BaseException:
        winner.close()
        raise


def _by_turns(addresses: Sequence[str]) -> list[str]:
    families: dict[bool, list[str]] = {}
    for address in addresses:
        families.setdefault(":" in address, []).append(address)
    return [each for each in chain.from_iterable(zip_longest(*families.values())) if each]


async def _race(
    loop: asyncio.AbstractEventLoop, addresses: list[str], port: int, stagger_s: float
) -> socket.socket:
    attempts: dict[asyncio.Task[socket.socket], str] = {}
    running: set[asyncio.Task[socket.socket]] = set()
    reasons: list[str] = []
    try:
        while True:
            if len(attempts) < len(addresses):
                address = addresses[len(attempts)]
                attempt = loop.create_task(_open(loop, address, port))
                attempts[attempt] = address
                running.add(attempt)
            if not running:
                raise OSError("; ".join(reasons) or "there is no address to connect to")
            is_last = len(attempts) == len(addresses)
            done, running = await asyncio.wait(
                running,
                timeout=None if is_last else stagger_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                if not (error := attempt.exception()):
                    del attempts[attempt]
                    return attempt.result()
                reasons.append(f"{attempts[attempt]} port {port}: {_reason(error)}")
    finally:
        await _abandon(attempts)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # asyncio puts "Connect call failed" in its place
    return str(error)


async def _abandon(attempts: dict[asyncio.Task[socket.socket], str]) -> None:
    for attempt in attempts:
        attempt.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(result, socket.socket):
            result.close()


async def _open(loop: asyncio.AbstractEventLoop, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await loop.sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection
