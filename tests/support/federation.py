"""A node and a real server of another kind that federate, with a component on each."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from bench.peers.causeway import Causeway
from bench.peers.ejabberd import Ejabberd
from bench.peers.prosody import Prosody
from bench.traffic import Record, Route
from tests.support.component import Component, settled
from tests.support.nodes import at_rest

ESTABLISHED = "01"
LOOPBACK = "0100007F"  # 127.0.0.1 in /proc/net/tcp
MESSAGES = 10_000
PINGS = 500
USERS = 4


class Federation(NamedTuple):
    """A node with a component, and another server with one."""

    node: Causeway
    server: Prosody | Ejabberd
    romeo: Component
    juliet: Component

    def connections(self) -> int:
        """TCP connections between the two servers that stand right now."""
        ports = (self.node.s2s_port, self.node.direct_tls_port, self.server.s2s_port)
        # With the address: a client of somebody else's may have the same port on another one.
        ours = {f"{LOOPBACK}:{port:04X}" for port in ports}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(state == ESTABLISHED and local in ours for _, local, _, state, *_ in rows)

    async def streams(self) -> list[tuple[str, str, bool]]:
        """(direction, mechanism, bidi) of each s2s stream, as the node sees them."""
        rows = [row for row in await self.node.streams() if row["leg"] == "s2s"]
        return sorted((row["direction"], row["auth"], row["bidi"]) for row in rows)

    def parties(self, first: str) -> tuple[Component, Component]:
        """(who speaks first, who answers)."""
        both = (self.romeo, self.juliet)
        return both if first == "node" else (both[1], both[0])


Federate = Callable[..., Awaitable[Federation]]


def route(sender: Component, target: Component, user: int = 0) -> Route:
    return Route(f"user{user}@{sender.domain}/here", f"user{user}@{target.domain}/there")


async def greet(first: Component, second: Component) -> None:
    """One message there, then one back: who speaks first makes the connection."""
    for sender, target in ((first, second), (second, first)):
        before = target.arrived
        await sender.send_numbered([route(sender, target)], 1, 0)
        await target.until(lambda: target.arrived > before)  # noqa: B023


def planned() -> Record:
    """For `greet` and then `exchange`."""
    return Record(2 * MESSAGES + 2, 2 * PINGS)


async def exchange(both: Federation, record: Record) -> None:
    """The whole load, both ways at once, until all has arrived and every ping is answered."""
    async with asyncio.TaskGroup() as group:
        for sender, target in ((both.romeo, both.juliet), (both.juliet, both.romeo)):
            routes = [route(sender, target, user) for user in range(1, USERS + 1)]
            group.create_task(sender.send_numbered(routes, MESSAGES, PINGS))

    async def is_complete() -> bool:
        arrived = min(both.romeo.arrived, both.juliet.arrived)
        return arrived > MESSAGES and record.pings_answered == record.pings_sent

    await settled(is_complete, limit_s=50)


async def conserved(both: Federation) -> None:
    """Every stanza of both directions was handed over: none bounced, none still in flight."""
    await at_rest(both.node)
    metrics = await both.node.metrics()
    came = sum(
        value
        for (name, labels), value in metrics.items()
        if name == "causeway_stanzas_total" and labels[-1] == "in"
    )
    assert came == 2 * (MESSAGES + 1) + 4 * PINGS
    assert metrics["causeway_stanza_outcomes_total", ("handed",)] == came
    assert metrics["causeway_process_restarts_total", ("worker",)] == 0
    assert metrics["causeway_process_restarts_total", ("acceptor",)] == 0
