"""A node and a real Prosody that federate, with a component on each."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from bench.peers.causeway import Causeway
from bench.peers.prosody import Prosody
from bench.traffic import Route
from tests.support.component import Component

ESTABLISHED = "01"


class Federation(NamedTuple):
    """A node with a component, and a Prosody with one."""

    node: Causeway
    prosody: Prosody
    romeo: Component
    juliet: Component

    def connections(self) -> int:
        """TCP connections between the two servers that stand right now."""
        ports = {self.node.s2s_port, self.node.direct_tls_port, self.prosody.s2s_port}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(
            state == ESTABLISHED and int(local.rpartition(":")[2], 16) in ports
            for _, local, _, state, *_ in rows
        )

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
