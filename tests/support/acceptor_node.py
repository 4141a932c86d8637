"""One acceptor with its listeners in the test's own loop, and who talks to it: worker, components.

The fixtures that start them are in `tests/router/acceptor/conftest.py`.
"""

import asyncio
import hashlib
import random
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import zmq

from router.acceptor.acceptor import Acceptor
from router.acceptor.dialling.dns import Resolver
from router.acceptor.listener import Listener
from router.config import Config
from router.wire.bus import RouterSocket
from router.wire.codec import decode
from router.wire.control import Membership
from router.wire.frames import (
    Announced,
    Attach,
    AttachAnswer,
    Attached,
    Frame,
    Joined,
    Sync,
    Synced,
)
from router.wire.shard import SHARDS
from router.xmpp.pair import DomainPair
from tests.support.acceptors import HOST, Worker, counted
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, SECRET
from tests.support.scripted_peer import (
    Wire,
    stream_id,
)

OWN = "a0.1"
INWARD = DomainPair(CAPULET, MONTAGUE)
OUTWARD = INWARD.inverse()


class Node:
    """The acceptor under test, where it listens, and the worker that owns all shards."""

    def __init__(self, context: zmq.Context, directory: Path, config: Config) -> None:
        self.loop = asyncio.get_running_loop()
        self.context = context
        self.endpoint = f"ipc://{directory}/{OWN}.bus"
        resolver = Resolver(config.dns, self.loop.time, random.Random(0))
        self.acceptor = Acceptor(self.loop, config, OWN, self.endpoint, context, resolver)
        self.listener = Listener(self.loop, self.acceptor.openings, self.acceptor.admission)
        self.worker = self.new_worker("w0.1")
        self.version = self.generation = 0
        self._owners: tuple[str, ...] = ()
        self.others: tuple[tuple[str, str], ...] = ()
        self.s2s_port = self.component_port = 0
        self._wires: list[Wire] = []

    def new_worker(self, name: str) -> Worker:
        return Worker(self.context, self.endpoint, name)

    async def start(self) -> None:
        s2s, components = bound(), bound()
        self.s2s_port, self.component_port = s2s.getsockname()[1], components.getsockname()[1]
        await self.listener.open({"s2s": [s2s], "components": [components]})
        await self.owned_by(self.worker)

    async def owned_by(self, worker: Worker) -> None:
        """All shards are this worker's from now on; it has heard all announcements."""
        self.owned((worker.name,) * SHARDS)
        worker.send(Joined(self.version))
        await worker.until(lambda: Announced(self.version) in worker.heard)

    def announced_to(self, worker: Worker) -> list[object]:
        """All that the worker heard before Announced."""
        return list(worker.heard[: worker.heard.index(Announced(self.version))])

    def owned(self, owners: tuple[str, ...]) -> None:
        """The supervisor says whose each shard is; "": nobody's."""
        self.version += 1
        if owners != self._owners:
            self._owners, self.generation = owners, self.version
        acceptors = ((OWN, self.endpoint), *self.others)
        generations = (self.generation,) * SHARDS
        self.acceptor.membership(Membership(self.version, acceptors, owners, generations))

    def counts(self, name: str, *labels: str) -> float:
        self.acceptor.snapshot()
        return counted(self.acceptor.counters, name, *labels)

    async def wire(self, port: int) -> Wire:
        """A connection to one of our ports, that ends with the test."""
        wire = Wire(*await asyncio.open_connection(HOST, port))
        self._wires.append(wire)
        return wire

    async def stop(self) -> None:
        for wire in self._wires:
            await wire.close()
        self.listener.close()
        self.acceptor.close()
        self.worker.close()
        await eventually(lambda: not self.acceptor.connections())


def bound() -> socket.socket:
    listening = socket.socket()
    listening.bind((HOST, 0))
    return listening


StartNode = Callable[..., Awaitable[Node]]


class Component:
    """A component's side of its connection."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    @classmethod
    async def shakes_hands(cls, node: Node, domain: str = MONTAGUE) -> "Component":
        """It has proved its secret and waits for the answer."""
        wire = await node.wire(node.component_port)
        await wire.send(
            f"<stream:stream xmlns='jabber:component:accept' to='{domain}'"
            " xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        await wire.until("<stream:stream")
        await wire.until(">")
        digest = hashlib.sha1((stream_id(wire.received) + SECRET).encode()).hexdigest()
        await wire.send(f"<handshake>{digest}</handshake>")
        return cls(wire)

    @classmethod
    async def attached(cls, node: Node, domain: str = MONTAGUE) -> "Component":
        component = await cls.shakes_hands(node, domain)
        asked = await node.worker.hears(Attach, domain=domain)
        node.worker.send(AttachAnswer(asked.request, True))
        await component.wire.until("<handshake/>")
        await node.worker.hears(Attached, domain=domain)
        return component


class Other:
    """Another acceptor on the bus: what it is told, and what it says. It has taken nothing."""

    name = "a1.1"

    def __init__(self, node: Node, directory: Path) -> None:
        self.told: list[Frame] = []
        self.endpoint = f"ipc://{directory}/{self.name}.bus"
        self._bound = RouterSocket(
            node.loop, node.context, self.endpoint, lambda _, parts: self._hear(decode(parts))
        )
        self._link = Worker(node.context, node.endpoint, self.name)
        self.send = self._link.send

    def _hear(self, frame: Frame) -> None:
        self.told.append(frame)
        if isinstance(frame, Sync):
            self.send(Synced(frame.number))

    def close(self) -> None:
        self._bound.close()
        self._link.close()
