"""The load generator around one server for one cell: remote domains outside, components inside.

Called by `measure`; `relays` does the same around HAProxy.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from OpenSSL import SSL

from bench.accepting import HOST, Accepting
from bench.authority import Authority
from bench.remote import Component, Load, Remote, Tally, chat, client_context
from bench.subjects import Subject
from bench.throughput.cells import Cell
from bench.throughput.flow import Source
from router.xmpp.pair import DomainPair

SECRET: Final = "s3cr3t"
LEAVING_S: Final = 5.0
CONNECTING_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Ends:
    """What a cell is driven by: `inward[i]` and `outward[i]` are the two ways of pair i.

    What arrives outside and inside counts in `outer` and `inner`.
    """

    inward: Sequence[Source]
    outward: Sequence[Source]
    outer: Tally
    inner: Tally


def hosted_name(number: int) -> str:
    """Domains that the server under test hosts, numbered from 0."""
    return f"montague{number}.lit"


def server_name(number: int) -> str:
    """Domains whose server, played by us, stands behind the server under test."""
    return f"verona{number}.lit"


def remote_name(number: int) -> str:
    """Domains that the generator plays."""
    return f"capulet{number}.lit"


@dataclass(frozen=True, slots=True)
class Town:
    """Domains and their certificates: `hosted` by the server under test, `remote` played by us.

    So are those `behind` it, as one server.
    """

    authority: Authority
    hosted: tuple[str, ...]
    behind: tuple[str, ...]
    remote: tuple[str, ...]
    clients: dict[str, SSL.Context]
    """Of the remote domains, to dial with."""
    elsewhere: Path
    """Where the certificates of the remote domains are."""

    @classmethod
    def make(cls, directory: Path, hosted: int, remote: int) -> "Town":
        """Issue all certificates, those of what is hosted in the authority's directory."""
        authority = Authority.make(directory / "certificates")
        elsewhere = directory / "elsewhere"
        here = tuple(map(hosted_name, range(hosted)))
        behind = tuple(map(server_name, range(hosted)))
        there = tuple(map(remote_name, range(remote)))
        clients = {}
        for name in (*here, *behind):
            authority.issue(name, eku="both")
        for name in there:
            crt, key = authority.issue(name, eku="both", into=elsewhere)
            clients[name] = client_context(str(crt), str(key))
        return cls(authority, here, behind, there, clients, elsewhere)

    def pairs(self, cell: Cell) -> list[DomainPair]:
        """From a remote domain each to a hosted one, or one behind, these in turn."""
        targets = self.behind if cell.direction == "gateway" else self.hosted
        return [
            DomainPair(name, targets[n % len(targets)])
            for n, name in enumerate(self.remote[: cell.pairs])
        ]


@asynccontextmanager
async def around(
    server: Subject, town: Town, accepting: Accepting, behind: Accepting, cell: Cell
) -> AsyncIterator[Ends]:
    """Connected until the block ends, then closed in order. Raises ConnectionError.

    `accepting` are the remote domains where the server dials them, `behind` the server behind it.
    Streams that the server opened stay: one that dials again at once may not be let.
    """
    pairs = town.pairs(cell)
    outer, inner = Tally(), Tally()
    accepting.count_in(outer)
    behind.count_in(inner)
    components = {name: Component(name, SECRET, tally=inner) for name in town.hosted}
    remotes = [Remote(pair, town.clients[pair.sender], outer) for pair in pairs]
    try:
        for component in components.values():
            await component.connect(HOST, server.component_port)
        await _connect(remotes, server.s2s_port)
        for end in (*components.values(), *remotes):
            if end.closed is not None:
                raise ConnectionError(f"{server.name} refused the generator: {end.closed}")
        yield Ends(
            [
                Source(remote, chat(pair.sender, pair.target, cell.size_bytes))
                for remote, pair in zip(remotes, pairs, strict=True)
            ],
            [
                Source(components[pair.target], chat(pair.target, pair.sender, cell.size_bytes))
                for pair in pairs
                if pair.target in components
            ],
            outer,
            inner,
        )
    finally:
        await leave((*remotes, *components.values()))


async def _connect(remotes: Sequence[Remote], port: int) -> None:
    """A few at a time, as servers bound how many may be unproved at once."""
    turn = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def one(remote: Remote) -> None:
        async with turn:
            await remote.connect(HOST, port)

    await asyncio.gather(*map(one, remotes))


async def leave(ends: Iterable[Load]) -> None:
    """Close all, in order, and wait until the server has let go of each."""
    async with asyncio.TaskGroup() as group:
        for end in ends:
            group.create_task(end.leave(LEAVING_S))
