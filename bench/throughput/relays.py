"""The same octets through HAProxy, which knows nothing of XMPP: what TLS and sockets alone cost.

"haproxy" has TLS on both sides of it, "haproxy-terminate" TLS outside and plaintext inside, which
is where this router stands between a remote server and a component. Called by `measure`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.accepting import Bare, Listener, bare, server_context
from bench.cost import family
from bench.peers.haproxy import Haproxy, Way
from bench.remote import Tally, chat
from bench.throughput.cells import Cell
from bench.throughput.ends import Ends, Town, leave
from bench.throughput.flow import Source
from router.acceptor.layer import Transport

NAMES: Final = ("haproxy", "haproxy-terminate")


class Relay:
    """One HAProxy and the sinks behind it, from `async with` to its end."""

    def __init__(self, name: str, directory: Path, town: Town) -> None:
        self.name = name
        self._directory = directory
        self._town = town
        self._crt = town.authority.directory / f"{town.hosted[0]}.crt"
        context = server_context(str(self._crt), str(self._crt.with_suffix(".key")))
        self._context = context if name == "haproxy" else None
        self._inner = Tally()
        self._arrived: asyncio.Queue[Bare] = asyncio.Queue()
        self._listener = Listener(self._take)
        self._haproxy: Haproxy | None = None

    def processes(self) -> dict[str, int]:
        """Every process of it by its label."""
        return family(self._running().pid)

    async def __aenter__(self) -> "Relay":
        await self._listener.__aenter__()
        way = Way(self._listener.port, takes_tls=True, gives_tls=self._context is not None)
        self._haproxy = Haproxy(self._directory, certificate=self._crt, ways={"relay": way})
        await self._haproxy.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._running().stop()
        finally:
            await self._listener.__aexit__()

    @asynccontextmanager
    async def around(self, cell: Cell) -> AsyncIterator[Ends]:
        """Connected until the block ends: a connection for each pair, to a sink of its own."""
        pairs = self._town.pairs(cell)
        outer, self._inner = Tally(), Tally()
        remotes: list[Bare] = []
        sinks: list[Bare] = []
        try:
            for pair in pairs:
                context = self._town.clients[pair.sender]
                remotes.append(await bare(self._running().ports_of["relay"], context, outer))
                sinks.append(await self._arrived.get())
                await sinks[-1].ready.wait()
                if (closed := sinks[-1].closed) is not None:
                    raise ConnectionError(f"{self.name} and the sink: {closed.text}")
            yield Ends(
                [
                    Source(end, chat(pair.sender, pair.target, cell.size_bytes))
                    for end, pair in zip(remotes, pairs, strict=True)
                ],
                [
                    Source(end, chat(pair.target, pair.sender, cell.size_bytes))
                    for end, pair in zip(sinks, pairs, strict=True)
                ],
                outer,
                self._inner,
            )
        finally:
            await leave((*remotes, *sinks))

    def _take(self, transport: Transport) -> None:
        self._arrived.put_nowait(
            Bare(transport, self._context, server_side=True, tally=self._inner)
        )

    def _running(self) -> Haproxy:
        assert self._haproxy is not None, "not started"
        return self._haproxy
