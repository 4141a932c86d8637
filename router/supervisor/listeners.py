"""The listening sockets: opened once by the supervisor, kept for life, inherited by acceptors.

One SO_REUSEPORT socket per acceptor slot and listen address: the kernel spreads connections over
the slots, and what waits in a slot's queue survives the restart of its acceptor. Sockets that a
service manager opened are shared by the slots; those of processes that outlived their supervisor
are taken back from them.
"""

import errno
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.config import Address, Config

BACKLOG: Final = 4096
KINDS: Final = ("s2s", "s2s_direct_tls", "components", "inside")
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


Slotted = Mapping[int, Sequence[tuple[str, socket.socket]]]
"""By acceptor slot: the kinds and the sockets of one acceptor, in the order it got them."""


def open_listeners(
    config: Config, activated: Mapping[str, Sequence[socket.socket]] | None = None
) -> tuple[Listener, ...]:
    """All listeners of the acceptors, listening. Raises ListenError, with nothing left open.

    Kinds in `activated` have these sockets, whatever the configuration says.
    """
    activated = activated or {}
    kinds = {kind: getattr(config.listen, kind) for kind in KINDS if kind not in activated}
    everywhere = [address for addresses in kinds.values() for address in addresses]
    ipv4_ports = {address.port for address in everywhere if ":" not in address.host} - {0}
    slots = config.processes.acceptors
    opened = [
        Listener(kind, (sock, *(sock.dup() for _ in range(slots - 1))))
        for kind, sockets in activated.items()
        for sock in sockets
    ]
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


def resume_listeners(slotted: Slotted, slots: int) -> tuple[Listener, ...]:
    """The listeners of a router whose acceptors of these slots have them still.

    A slot whose acceptor is gone gets new sockets beside those of the others. Raises ListenError.
    """
    if not slotted:
        raise ListenError("no acceptor of the earlier router has its listening sockets still")
    whole = next(iter(slotted.values()))
    listeners = []
    for place, (kind, sample) in enumerate(whole):
        sockets = tuple(_resumed(slotted, slot, place, sample) for slot in range(slots))
        listeners.append(Listener(kind, sockets))
    return tuple(listeners)


def _resumed(slotted: Slotted, slot: int, place: int, sample: socket.socket) -> socket.socket:
    if slot in slotted:
        return slotted[slot][place][1]
    if not sample.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
        return sample.dup()  # the service manager's, which all share
    address = bound_address(sample)
    is_ipv6 = sample.family == socket.AF_INET6
    both = is_ipv6 and not sample.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    try:
        return _bind(address, shared=True, both_families=both)
    except OSError as error:
        raise _refusal("again", address, error) from None


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
