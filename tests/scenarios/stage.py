"""A node with a component on each of its domains, and fakes that it knows the way to.

Every test takes fakes of its own; the node and the components last for a module.
"""

import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.authority import Authority
from bench.peers.causeway import Causeway
from bench.peers.fakes.fake import ECHO, Fake
from bench.peers.fakes.profiles import Profile
from tests.support.component import Component, Got, attached, settled
from tests.support.nodes import MONTAGUE, SECRET, VERONA, certificate, node
from tests.support.scripted_peer import HOST, Peer, message, scripted

ROMEO, BENVOLIO = f"romeo@{MONTAGUE}", f"benvolio@{VERONA}"
BY_DIALBACK: dict[str, Any] = {"trust_anchors": None, "presents_certificate": False}
PLACES = 16
SCRIPTED = 4


@dataclass(slots=True)
class Place:
    """Where a fake may listen: its domain, and a second one behind the same address."""

    domain: str
    also: str
    socket: socket.socket
    """Bound, so that nobody else gets the port, but closed to connections until a fake listens."""


@dataclass(slots=True)
class Stage:
    """`fake` brings on a server; `says` and `answers` have stanzas go there and back."""

    node: Causeway
    authority: Authority
    components: dict[str, Component]
    places: Iterator[Place]
    scripted: Iterator[Peer]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @asynccontextmanager
    async def fake(self, profile: str | Profile, **settings: Any) -> AsyncIterator[Fake]:
        """A fake at a place of its own, which knows the way to both of the node's domains."""
        place = next(self.places)
        chosen = {
            "certificate": certificate(self.authority, place.domain),
            "trust_anchors": self.authority.anchors,
            "also": (place.also,),
            "peers": dict.fromkeys((MONTAGUE, VERONA), (HOST, self.node.s2s_port)),
            **settings,
        }
        async with Fake(profile, place.domain, listen=place.socket, **chosen) as fake:
            yield fake
            never_asked_for(fake)

    # --- stanzas ---

    def tell(self, sender: str, target: str, number: int, body: str = "") -> None:
        """A message of this number from a hosted sender."""
        text = message(sender, target, f"n{number}")
        if body:
            text = text.replace("hear me", body)
        self.components[sender.partition("@")[2]].write(text)

    async def says(self, fake: Fake, sender: str = ROMEO, domain: str = "") -> int:
        """A hosted sender's message reaches the fake; its number."""
        number = next(self.numbers)
        self.tell(sender, f"juliet@{domain or fake.domain}", number)
        await fake.until(lambda: f"n{number}" in ids(fake))
        return number

    async def hears(self, fake: Fake, target: str = ROMEO, domain: str = "") -> int:
        """The fake's message reaches a hosted component; its number."""
        number = next(self.numbers)
        fake.send_stanza(message(f"juliet@{domain or fake.domain}", target, f"n{number}"))
        await self.has_heard(number, target)
        return number

    async def has_heard(self, number: int, target: str = ROMEO) -> None:
        """The component has a message of this number."""
        component = self.components[target.partition("@")[2]]
        await component.until(lambda: number in component.numbers)

    async def echoed(self, fake: Fake, sender: str = ROMEO, domain: str = "") -> int:
        """A hosted sender's message, and the fake's answer to it."""
        number = next(self.numbers)
        self.tell(sender, f"{ECHO}@{domain or fake.domain}", number)
        await self.has_heard(number, sender)
        return number

    async def refused(self, number: int, sender: str = ROMEO) -> Got:
        """The error that a message of this number came back with."""
        component = self.components[sender.partition("@")[2]]

        def found() -> list[Got]:
            errors = (got for got in component.others if got.kind == "error")
            return [got for got in errors if got.attributes["id"] == f"n{number}"]

        await component.until(lambda: bool(found()))
        return found()[0]

    # --- streams ---

    async def streams(self, fake: Fake) -> list[tuple[str, str, bool]]:
        """(direction, mechanism, bidi) of each stream with the fake, as the node sees them."""
        ours = {fake.domain, *fake.domains}
        rows = [row for row in await self.node.streams() if row.get("remote") in ours]
        return sorted((row["direction"], row["auth"], row["bidi"]) for row in rows)

    async def has_streams(self, fake: Fake, *wanted: tuple[str, str, bool]) -> None:
        """Wait until it has these, and no other ones."""

        async def holds() -> bool:
            return await self.streams(fake) == sorted(wanted)

        try:
            await settled(holds, 5)
        except TimeoutError:
            raise AssertionError(f"streams: {await self.streams(fake)}") from None


def ids(fake: Fake) -> list[str]:
    """Of all stanzas that came, in their order."""
    return [stanza.get("id") for stanza in fake.stanzas]


def never_asked_for(fake: Fake) -> None:
    """What no peer may ever see: db:verify asked, or a stray header, on a stream it opened. [6]"""
    questions = [entry for entry in fake.said("<db:verify") if " type=" not in entry.text]
    assert not [entry for entry in questions if entry.initiated]


@asynccontextmanager
async def staged(directory: Path, authority: Authority, **settings: Any) -> AsyncIterator[Stage]:
    """Everything, for as long as the block lasts; `settings` are the node's."""
    names = [f"peer{number}.example" for number in range(1, PLACES + 1)]
    places = [Place(name, f"also.{name}", socket.socket()) for name in names]
    async with AsyncExitStack() as stack:
        scripted_peers = []
        for name in names:
            authority.issue(name)
        for number in range(1, SCRIPTED + 1):
            name = f"scripted{number}.example"
            file, _ = authority.issue(name)
            scripted_peers.append(await stack.enter_async_context(scripted(name, MONTAGUE, file)))
        routes = {peer.domain: (HOST, peer.port) for peer in scripted_peers}
        for place in places:
            stack.callback(place.socket.close)
            place.socket.bind((HOST, 0))
            routes |= dict.fromkeys((place.domain, place.also), place.socket.getsockname())
        running = await stack.enter_async_context(
            node(directory, authority, routes=routes, **settings)
        )
        components = {
            domain: await stack.enter_async_context(
                attached(domain, SECRET, running.component_port)
            )
            for domain in (MONTAGUE, VERONA)
        }
        yield Stage(running, authority, components, iter(places), iter(scripted_peers))
