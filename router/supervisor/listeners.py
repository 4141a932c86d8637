"""The listening sockets: opened once by the supervisor, kept for life, inherited by acceptors.

One SO_REUSEPORT socket per acceptor slot and listen address: the kernel spreads connections over
the slots, and what waits in a slot's queue survives the restart of its acceptor.
"""

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from router.config import Address, Config

BACKLOG: Final = 4096
_ANY_IPV6: Final = "::"
_ANY_IPV4: Final = "0.0.0.0"


class ListenError(Exception):
    """An address we cannot listen on; the text says which, for what, and why."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One listen address of one kind, with a socket for each acceptor slot."""

    kind: str
    sockets: tuple[socket.socket, ...]

    @property
    def address(self) -> Address:
        """As bound: the port is the one the kernel chose when the configuration said 0."""
        return bound_address(self.sockets[0])


def open_listeners(config: Config) -> tuple[Listener, ...]:
    """All listeners of the acceptors, listening. Raises ListenError, with nothing left open."""
    listen = config.listen
    kinds = {
        "s2s": listen.s2s,
        "s2s_direct_tls": listen.s2s_direct_tls,
        "components": listen.components,
    }
    everywhere = [address for addresses in kinds.values() for address in addresses]
    ipv4_ports = {address.port for address in everywhere if ":" not in address.host} - {0}
    slots = config.processes.acceptors
    opened: list[Listener] = []
    try:
        for kind, addresses in kinds.items():
            for address in addresses:
                both_families = address.port not in ipv4_ports
                sockets = _open_slots(kind, address, slots, both_families=both_families)
                opened.append(Listener(kind, sockets))
    except ListenError:
        close_listeners(opened)
        raise
    return tuple(opened)


def close_listeners(listeners: Sequence[Listener]) -> None:
    """Let go of our copies. The kernel stops accepting when the acceptors let go of theirs."""
    for listener in listeners:
        for sock in listener.sockets:
            sock.close()


def open_exclusive(kind: str, address: Address) -> socket.socket:
    """One listening socket that nobody shares. Raises ListenError."""
    try:
        return _bind(address, shared=False)
    except OSError as error:
        raise _refusal(kind, address, error) from None


def bound_address(sock: socket.socket) -> Address:
    """Where the socket listens."""
    host, port = sock.getsockname()[:2]
    return Address(host, port)


def _open_slots(
    kind: str, address: Address, slots: int, *, both_families: bool
) -> tuple[socket.socket, ...]:
    opened: list[socket.socket] = []
    try:
        if address.port:
            # SO_REUSEPORT would silently share the port with a stranger; a plain socket would not.
            _bind(address, shared=False, both_families=both_families).close()
        for _ in range(slots):
            opened.append(_bind(address, shared=True, both_families=both_families))
            address = address._replace(port=bound_address(opened[0]).port)
    except OSError as error:
        for sock in opened:
            sock.close()
        raise _refusal(kind, address, error) from None
    return tuple(opened)


def _refusal(kind: str, address: Address, error: OSError) -> ListenError:
    return ListenError(f"cannot listen on {address} ({kind}): {error.strerror}")


def _bind(address: Address, *, shared: bool, both_families: bool = True) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT or address.host != _ANY_IPV6:
            raise
        # A host without IPv6: all its addresses are IPv4.
        return _bind(address._replace(host=_ANY_IPV4), shared=shared)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # "[::]" is every address of the host, IPv4 included, unless that is listed by itself.
            v6_only = not both_families or address.host != _ANY_IPV6
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6_only))
        sock.bind(tuple(address))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
