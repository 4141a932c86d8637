"""Sockets that a service manager has opened for us: systemd's socket activation.

$LISTEN_FDS sockets from descriptor 3 on, for the process $LISTEN_PID, named by $LISTEN_FDNAMES as
the keys of `[listen]` are. Called by the node at its start.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Final

from router.supervisor.listeners import KINDS, ListenError

_FIRST: Final = 3


def activated(environ: MutableMapping[str, str], pid: int) -> Mapping[str, list[socket.socket]]:
    """The sockets by kind, in the order given; nothing when there are none for this process.

    Takes the variables out of the environment: they are not for our children. Raises ListenError
    for a socket that is none of `[listen]`, or that does not listen.
    """
    found = {name: environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if found["LISTEN_PID"] != str(pid) or not found["LISTEN_FDS"].isdigit():
        return {}
    names = found["LISTEN_FDNAMES"].split(":")
    sockets: dict[str, list[socket.socket]] = {}
    for place in range(int(found["LISTEN_FDS"])):
        name = names[place] if place < len(names) else ""
        if name not in KINDS:
            raise ListenError(
                f'the service manager passed a socket called "{name}"; '
                f"FileDescriptorName= has to be one of {', '.join(KINDS)}"
            )
        sockets.setdefault(name, []).append(_listening(_FIRST + place, name))
    return sockets


def _listening(fd: int, name: str) -> socket.socket:
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
    except OSError as error:
        reason = error.strerror
        raise ListenError(f"the service manager passed no socket {name}: {reason}") from None
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise ListenError(f"the socket {name} that the service manager passed does not listen")
    sock.setblocking(False)
    return sock
