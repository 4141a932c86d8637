"""Listening sockets: every connection that comes in is admitted, then handed to the acceptor."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Final, Literal, cast

import structlog

from router.acceptor.admission import Admission
from router.acceptor.connection import Connection
from router.acceptor.openings import Openings

log = structlog.get_logger()

Kind = Literal["s2s", "s2s_direct_tls", "components", "inside"]
BACKLOG: Final = 1024


class _Accepted(asyncio.Protocol):
    """Stands on a new transport until the connection's own layer takes over, at once."""

    def __init__(self, make: Callable[[], Connection], admission: Admission) -> None:
        self._make = make
        self._admission = admission

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        accepted = cast(asyncio.Transport, transport)
        peer = accepted.get_extra_info("peername")
        connection = self._make()
        is_ours = connection.leg in ("component", "server")
        if not peer or not self._admission.admit(connection.number, peer[0], is_ours=is_ours):
            connection.refused()
            accepted.abort()
            return
        connection.connected(accepted)


class Listener:
    """The listening sockets of one acceptor, by kind."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, openings: Openings, admission: Admission
    ) -> None:
        self._loop = loop
        self._openings = openings
        self._admission = admission
        self._servers: list[asyncio.AbstractServer] = []

    async def open(self, sockets: Mapping[Kind, list[socket.socket]]) -> None:
        """Accept on all of them."""
        makers: dict[Kind, Callable[[], Connection]] = {
            "s2s": lambda: self._openings.inbound(direct_tls=False),
            "s2s_direct_tls": lambda: self._openings.inbound(direct_tls=True),
            "components": self._openings.component,
            "inside": lambda: self._openings.inbound(direct_tls=False, leg="server"),
        }
        for kind, bound in sockets.items():
            for each in bound:
                if kind != "components":
                    self._openings.listening.add(*each.getsockname()[:2])
                self._servers.append(await self._serve(each, makers[kind]))

    async def _serve(self, bound: socket.socket, make: Callable[[], Connection]) -> asyncio.Server:
        return await self._loop.create_server(
            lambda: _Accepted(make, self._admission), sock=bound, backlog=BACKLOG
        )

    def close(self) -> None:
        """Accept no more; connections stay."""
        for server in self._servers:
            server.close()
        self._servers.clear()
