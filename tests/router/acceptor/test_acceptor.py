"""One whole acceptor: real sockets on one side, a scripted worker on the real bus on the other."""

import asyncio
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from bench.authority import Authority
from router.acceptor.acceptor import Acceptor
from router.acceptor.dns import Resolver
from router.acceptor.listener import Listener
from router.config import Address, Config, Dialback, Dns, Domain, Limits, Tls
from router.config import Peer as PeerConfig
from router.wire.bus import RouterSocket
from router.wire.codec import decode
from router.wire.control import Membership
from router.wire.frames import (
    Announced,
    Attach,
    AttachAnswer,
    Attached,
    Data,
    Detached,
    Dial,
    DialFailed,
    Dialling,
    Frame,
    Granted,
    Joined,
    Progress,
    Reject,
    Retire,
    Revoked,
    StreamId,
    Verified,
    Verify,
    VerifyKey,
)
from router.wire.shard import SHARDS, shard_of
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import HOST, Worker, counted, forward
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, VERONA, certificate
from tests.support.scripted_peer import (
    DIALBACK_FEATURE,
    END,
    EXTERNAL_FEATURE,
    Peer,
    Wire,
    features,
    header,
    message,
    scripted,
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
        self.listener = Listener(self.loop, self.acceptor)
        self.worker = self.new_worker("w0.1")
        self.version = 0
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
        acceptors = ((OWN, self.endpoint), *self.others)
        generations = (self.version,) * SHARDS
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


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq.Context(io_threads=1) as context:
        yield context
        context.destroy(linger=0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
async def capulet(issuer: Authority) -> AsyncIterator[Peer]:
    """A server with a certificate that proves capulet.example; the node has a route to it."""
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer


@pytest.fixture
async def tybalt(issuer: Authority) -> AsyncIterator[Peer]:
    """A server without a certificate to present."""
    path = certificate(issuer, TYBALT)
    async with scripted(TYBALT, MONTAGUE, path, presents_certificate=False) as peer:
        yield peer


StartNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def start(
    context: zmq.Context, directory: Path, issuer: Authority, capulet: Peer
) -> AsyncIterator[StartNode]:
    """Start a node; settings replace those of its configuration."""
    async with AsyncExitStack() as running:

        async def start(**settings: object) -> Node:
            config = Config(
                tls=Tls(certificates=issuer.directory, trust_anchors=str(issuer.anchors)),
                dialback=Dialback(secret="of the house of Montague"),
                dns=Dns(resolvers=(Address(HOST, 9),), timeout_s=0.2),
                limits=Limits(close_timeout_s=5.0),
                domains={name: Domain("component", secret=SECRET) for name in (MONTAGUE, VERONA)},
                peers={CAPULET: PeerConfig(target=Address(HOST, capulet.port))},
            )
            node = Node(context, directory, replace(config, **settings))  # type: ignore[arg-type]
            running.push_async_callback(node.stop)
            await node.start()
            return node

        yield start


@pytest.fixture
async def node(start: StartNode) -> Node:
    return await start()


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


# --- components ---


@pytest.mark.clause("CMP-02")
async def test_a_component_attaches_when_its_shard_says_so(node: Node) -> None:
    component = await Component.shakes_hands(node)
    asked = await node.worker.hears(Attach)
    assert asked.domain == MONTAGUE
    assert "<handshake" not in component.wire.received
    node.worker.send(AttachAnswer(asked.request, True))
    await component.wire.until("<handshake/>")
    assert await node.worker.hears(Attached) == Attached(MONTAGUE, asked.stream)
    assert node.counts("causeway_s2s_authenticated_total", "in", "component") == 1


async def test_the_shard_that_is_asked_is_that_of_the_domain_with_itself(
    node: Node, context: zmq.Context
) -> None:
    """With every other shard at another worker, the question still comes to this one."""
    other = node.new_worker("w1.1")
    owners = ["w1.1"] * SHARDS
    owners[shard_of(MONTAGUE, MONTAGUE)] = node.worker.name
    node.owned(tuple(owners))
    for worker in (node.worker, other):
        worker.send(Joined(node.version))
        await worker.hears(Announced, version=node.version)
    component = await Component.shakes_hands(node)
    await node.worker.hears(Attach, domain=MONTAGUE)
    assert other.heard == []
    await component.wire.close()
    other.close()


@pytest.mark.clause("CMP-02")
async def test_a_domain_that_is_taken_is_a_conflict(node: Node) -> None:
    component = await Component.shakes_hands(node)
    asked = await node.worker.hears(Attach)
    node.worker.send(AttachAnswer(asked.request, False))
    assert "<conflict " in (await component.wire.ended()).replace('"', "'")
    await node.worker.hears(Detached)
    assert not any(isinstance(frame, Attached) for frame in node.worker.heard)


async def test_a_component_that_leaves_is_detached_at_once(node: Node) -> None:
    component = await Component.attached(node)
    (connection,) = node.acceptor.connections()
    connection.close()
    assert await node.worker.hears(Detached) == Detached(MONTAGUE, connection.number)
    assert connection.end is None, "it has not ended yet, but takes nothing more"
    await component.wire.send(END)
    await component.wire.ended()
    await eventually(lambda: not node.acceptor.connections())
    assert not any(isinstance(frame, Detached) for frame in node.worker.heard)


async def test_a_component_that_leaves_before_the_answer_gives_its_place_back(node: Node) -> None:
    component = await Component.shakes_hands(node)
    asked = await node.worker.hears(Attach)
    await component.wire.close()
    assert await node.worker.hears(Detached) == Detached(MONTAGUE, asked.stream)
    node.worker.send(AttachAnswer(asked.request, True))
    node.worker.send(Dial(DomainPair(MONTAGUE, "nobody.invalid")))
    await node.worker.hears(Dialling)
    assert not any(isinstance(frame, Attached) for frame in node.worker.heard)


# --- stanzas in ---


async def test_a_run_goes_to_its_shard_once_for_each_pair(node: Node) -> None:
    component = await Component.attached(node)
    one, two = message(MONTAGUE, CAPULET, 1), message(MONTAGUE, CAPULET, 2)
    elsewhere = message(MONTAGUE, TYBALT, 3)
    await component.wire.send(one + two)
    first = await node.worker.hears(Data)
    await component.wire.send(one + elsewhere)
    again = await node.worker.hears(Data, pair=OUTWARD)
    other = await node.worker.hears(Data)
    assert (first.pair, first.counts, first.octets) == (
        OUTWARD,
        Counts(2, 0, 0),
        (one + two).encode(),
    )
    assert (first.first, first.epoch, first.generation, first.egress) == (1, 1, 1, None)
    assert (again.lane, again.first) == (first.lane, 3)
    assert (other.pair, other.first) == (DomainPair(MONTAGUE, TYBALT), 1)
    assert other.lane != first.lane
    assert node.counts("causeway_stanzas_total", "message", "component", "in") == 4
    assert node.counts("causeway_stanzas_in_flight") == node.acceptor.pending() == 4


async def test_what_a_worker_rejects_comes_back_to_its_sender(node: Node) -> None:
    component = await Component.attached(node)
    (stream,) = node.acceptor.connections()
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    node.worker.send(Reject(data.lane, data.epoch, 1, 1, "remote-server-not-found", "cancel", "no"))
    back = await node.worker.hears(Data, pair=INWARD)
    node.worker.send(forward(OWN, back, stream.number))
    assert "remote-server-not-found" in await component.wire.until("</message>")
    await eventually(lambda: not node.acceptor.pending())
    assert node.counts("causeway_stanza_outcomes_total", "bounced") == 1
    assert node.counts("causeway_stanza_outcomes_total", "handed") == 0


async def test_a_stanza_the_stream_refuses_is_answered_at_once(node: Node) -> None:
    component = await Component.attached(node)
    await component.wire.send(f"<iq from='{MONTAGUE}' to='{CAPULET}' id='1'/>")
    back = await node.worker.hears(Data)
    assert back.pair == INWARD
    assert b"<bad-request " in back.octets
    assert node.counts("causeway_stanzas_total", "iq", "component", "in") == 1
    assert node.counts("causeway_stanza_outcomes_total", "bounced") == 1


# --- stanzas out ---


async def test_a_forwarded_run_is_written_and_its_owner_hears_that_it_arrived(
    node: Node, capulet: Peer
) -> None:
    component = await Component.attached(node)
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    assert granted == Granted(granted.stream, OUTWARD, False, "external")
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    node.worker.send(forward(OWN, data, granted.stream))
    assert "id='1'" in await wire.until("</message>")
    await eventually(lambda: not node.acceptor.pending())
    assert node.counts("causeway_stanza_outcomes_total", "handed") == 1
    assert node.counts("causeway_stanzas_total", "message", "s2s", "out") == 1
    assert node.counts("causeway_bidi_reuse_total") == 1
    assert node.counts("causeway_s2s_streams", "in", "external", "true") == 1


@pytest.mark.parametrize("stream", ["unknown", "not granted"])
async def test_a_run_that_cannot_leave_there_is_routed_anew(
    node: Node, capulet: Peer, stream: str
) -> None:
    component = await Component.attached(node)
    await capulet.authenticated(node.s2s_port, bidi=False)
    await eventually(lambda: node.counts("causeway_s2s_authenticated_total", "external"))
    (there,) = [each for each in node.acceptor.connections() if each.leg == "s2s"]
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    node.worker.send(forward(OWN, data, 999 if stream == "unknown" else there.number))
    again = await node.worker.hears(Data)
    assert (again.lane, again.first, again.epoch) == (data.lane, 1, 2)
    assert again.octets == data.octets
    assert there.stanzas_out == 0


@pytest.mark.clause("BIDI-23")
async def test_a_stream_that_begins_to_close_is_revoked_at_once(node: Node, capulet: Peer) -> None:
    """Not only when the peer has answered: until then nothing could leave on it."""
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    (connection,) = node.acceptor.connections()
    connection.close()
    assert await node.worker.hears(Revoked) == Revoked(granted.stream, OUTWARD)
    assert connection.end is None
    other = node.new_worker("w1.1")
    await node.owned_by(other)
    assert node.announced_to(other) == []
    await wire.send(END)
    await wire.ended()
    await eventually(lambda: not node.acceptor.connections())
    assert not any(isinstance(frame, Revoked) for frame in [*node.worker.heard, *other.heard])
    assert node.counts("causeway_s2s_closed_total", "in", "none") == 1
    other.close()


@pytest.mark.clause("BIDI-23")
async def test_a_lane_whose_stream_has_closed_is_routed_anew_from_where_it_got_to(
    node: Node, capulet: Peer
) -> None:
    component = await Component.attached(node)
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    node.worker.send(forward(OWN, await node.worker.hears(Data), granted.stream))
    await wire.until("</message>")
    (stream,) = [each for each in node.acceptor.connections() if each.leg == "s2s"]
    stream.close()
    await component.wire.send(message(MONTAGUE, CAPULET, 2))
    node.worker.send(forward(OWN, await node.worker.hears(Data), granted.stream))
    await wire.send(END)
    again = await node.worker.hears(Data)
    assert (again.first, again.epoch) == (2, 2)
    assert "id='2'" not in await wire.ended()
    assert node.counts("causeway_stanza_outcomes_total", "handed") == 1
    assert node.counts("causeway_stanzas_in_flight") == 1


async def test_a_stream_that_breaks_off_is_revoked_and_counted_as_lost(
    node: Node, capulet: Peer
) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    wire.abort()
    assert await node.worker.hears(Revoked) == Revoked(granted.stream, OUTWARD)
    await eventually(lambda: node.counts("causeway_s2s_closed_total", "in", "lost") == 1)


async def test_a_retired_stream_is_closed_in_order(node: Node, capulet: Peer) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    node.worker.send(Retire(999, OUTWARD))
    node.worker.send(Retire(granted.stream, OUTWARD))
    await wire.until(END)
    await node.worker.hears(Revoked, stream=granted.stream)
    assert "stream:error" not in wire.received


# --- a new owner of the shards ---


async def test_a_new_owner_hears_of_everything_before_the_stanzas(
    node: Node, capulet: Peer, tybalt: Peer
) -> None:
    attached = await Component.attached(node)
    await Component.shakes_hands(node, VERONA)
    asked = await node.worker.hears(Attach, domain=VERONA)
    await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    questioned = await tybalt.secured(node.s2s_port)
    await questioned.send(f"<db:result from='{TYBALT}' to='{MONTAGUE}'>key</db:result>")
    verify = await node.worker.hears(Verify)
    node.worker.send(Dial(DomainPair(VERONA, CAPULET)))
    dialling = await node.worker.hears(Dialling)
    await attached.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    serving = next(each for each in node.acceptor.connections() if each.leg == "component")

    other = node.new_worker("w1.1")
    await node.owned_by(other)
    announced = node.announced_to(other)
    assert sorted(map(repr, announced)) == sorted(
        map(repr, [Attached(MONTAGUE, serving.number), asked, granted, verify, dialling])
    )
    again = await other.hears(Data)
    assert again == replace(data, generation=node.version)
    other.close()


async def test_a_key_whose_stream_is_gone_is_asked_no_more(node: Node, tybalt: Peer) -> None:
    wire = await tybalt.secured(node.s2s_port)
    await wire.send(f"<db:result from='{TYBALT}' to='{MONTAGUE}'>key</db:result>")
    await node.worker.hears(Verify)
    await wire.close()
    await eventually(lambda: not node.acceptor.connections())
    other = node.new_worker("w1.1")
    await node.owned_by(other)
    assert node.announced_to(other) == []
    other.close()


async def test_what_was_taken_is_not_replayed_and_names_its_stream(
    node: Node, capulet: Peer
) -> None:
    component = await Component.attached(node)
    await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    node.worker.send(forward(OWN, await node.worker.hears(Data), granted.stream))
    await eventually(lambda: not node.acceptor.pending())
    node.owned(("",) * SHARDS)
    await component.wire.send(message(MONTAGUE, CAPULET, 2))
    await eventually(node.acceptor.pending)
    other = node.new_worker("w1.1")
    await node.owned_by(other)
    data = await other.hears(Data)
    assert (data.first, data.egress) == (2, StreamId(OWN, granted.stream))
    other.close()


# --- other acceptors ---


class Other:
    """Another acceptor on the bus: what it is told, and what it says."""

    name = "a1.1"

    def __init__(self, node: Node, directory: Path) -> None:
        self.told: list[Frame] = []
        self.endpoint = f"ipc://{directory}/{self.name}.bus"
        self._bound = RouterSocket(
            node.loop, node.context, self.endpoint, lambda _, parts: self.told.append(decode(parts))
        )
        self._link = Worker(node.context, node.endpoint, self.name)
        self.send = self._link.send

    def close(self) -> None:
        self._bound.close()
        self._link.close()


@pytest.fixture
async def other(node: Node, directory: Path) -> AsyncIterator[Other]:
    other = Other(node, directory)
    node.others = ((other.name, other.endpoint),)
    await node.owned_by(node.worker)
    yield other
    other.close()


async def test_what_an_acceptor_took_is_in_doubt_when_it_dies(node: Node, other: Other) -> None:
    component = await Component.attached(node)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    await component.wire.send(message(MONTAGUE, CAPULET, 2))
    await node.worker.hears(Data)
    other.send(Progress(data.lane, 1, 5, took=1, done=0, level="tcp"))
    node.worker.send(Dial(OUTWARD))
    await node.worker.hears(Dialling)
    node.others = ()
    await node.owned_by(node.worker)
    bounce = await node.worker.hears(Data, pair=INWARD)
    assert b"<remote-server-timeout " in bounce.octets
    again = await node.worker.hears(Data)
    assert (again.first, again.epoch, again.egress) == (2, 2, None)
    assert node.counts("causeway_stanza_outcomes_total", "bounced") == 1


async def test_runs_of_another_acceptor_are_reported_to_it_until_it_dies(
    node: Node, other: Other, capulet: Peer
) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    octets = message(MONTAGUE, CAPULET, 1).encode()
    data = Data(5, 1, 1, Counts(1, 0, 0), OUTWARD, node.version, None, octets)
    node.worker.send(forward(other.name, data, granted.stream))
    await wire.until("</message>")
    await eventually(lambda: Progress(5, 1, granted.stream, 1, 1, "tcp") in other.told)
    (stream,) = node.acceptor.connections()
    assert stream.outlet.decline(forward(other.name, data, stream.number)) is None
    node.others = ()
    await node.owned_by(node.worker)
    assert stream.outlet.decline(forward(other.name, data, stream.number)) is not None


# --- proofs ---


@pytest.mark.clause("DBK-15", "BIDI-10")
async def test_a_key_is_verified_through_the_shard_and_then_grants(
    node: Node, tybalt: Peer
) -> None:
    wire = await tybalt.secured(node.s2s_port)
    await wire.send(
        f"<bidi xmlns='urn:xmpp:bidi'/><db:result from='{TYBALT}' to='{MONTAGUE}'>key</db:result>"
    )
    asked = await node.worker.hears(Verify)
    assert (asked.pair, asked.key) == (DomainPair(TYBALT, MONTAGUE), "key")
    assert not any(isinstance(frame, Granted) for frame in node.worker.heard)
    node.worker.send(Verified(asked.request, "valid"))
    await wire.until("<db:result")
    granted = await node.worker.hears(Granted)
    assert granted == Granted(granted.stream, DomainPair(MONTAGUE, TYBALT), False, "dialback")
    assert node.counts("causeway_s2s_authenticated_total", "in", "dialback") == 1
    assert node.counts("causeway_s2s_authenticated_total") == 1


@pytest.mark.clause("STR-03")
async def test_a_header_that_names_nobody_is_for_whom_sni_named(node: Node, capulet: Peer) -> None:
    wire = await capulet.dial(node.s2s_port)
    await wire.send(header(CAPULET, VERONA))
    await wire.until("</stream:features>")
    await wire.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await wire.until("<proceed")
    await wire.until(">")
    await wire.start_tls(capulet.client_context(), MONTAGUE)
    await wire.send(header(CAPULET, None))
    await wire.until("<stream:stream")
    assert MONTAGUE in await wire.until(">")


async def test_a_stream_that_closes_is_no_answer_to_a_dial(node: Node, capulet: Peer) -> None:
    node.worker.send(Dial(OUTWARD))
    await capulet.admit(await capulet.greet(EXTERNAL_FEATURE))
    first = await node.worker.hears(Granted)
    await node.worker.hears(Dialling)
    (stream,) = node.acceptor.connections()
    stream.close()
    node.worker.send(Dial(OUTWARD))
    await node.worker.hears(Dialling)
    await capulet.admit(await capulet.greet(EXTERNAL_FEATURE))
    assert (await node.worker.hears(Granted)).stream != first.stream


async def test_a_dial_ends_in_a_grant(node: Node, capulet: Peer) -> None:
    node.worker.send(Dial(OUTWARD))
    await node.worker.hears(Dialling, pair=OUTWARD)
    wire = await capulet.greet(EXTERNAL_FEATURE)
    await capulet.admit(wire)
    granted = await node.worker.hears(Granted)
    assert granted == Granted(granted.stream, OUTWARD, True, "external")
    assert node.counts("causeway_s2s_authenticated_total", "out", "external") == 1
    assert node.counts("causeway_tls_handshakes_total", "client", "ok") == 1
    assert node.counts("causeway_tcp_connections_total", "out") == 1


async def test_a_target_may_want_tls_at_once(start: StartNode, capulet: Peer) -> None:
    route = PeerConfig(target=Address(HOST, capulet.port), target_tls="direct")
    node = await start(peers={CAPULET: route})
    node.worker.send(Dial(OUTWARD))
    wire = await capulet.accepted()
    await wire.start_tls(capulet.server_context())
    await wire.until("<stream:stream")
    await wire.until(">")
    await wire.send(header(CAPULET, MONTAGUE, id="1") + features(EXTERNAL_FEATURE))
    await capulet.admit(wire)
    await node.worker.hears(Granted, pair=OUTWARD)


async def test_a_dial_that_fails_leaves_nothing_behind(start: StartNode) -> None:
    node = await start(peers={CAPULET: PeerConfig(target=Address(HOST, 1))})
    node.worker.send(Dial(OUTWARD))
    failed = await node.worker.hears(DialFailed)
    assert (failed.pair, failed.condition) == (OUTWARD, "remote-server-timeout")
    assert node.acceptor.connections() == []
    assert node.counts("causeway_s2s_streams") == 0


async def test_a_dial_that_is_refused_is_told_of(node: Node, capulet: Peer) -> None:
    node.worker.send(Dial(OUTWARD))
    wire = await capulet.greet(DIALBACK_FEATURE)
    await wire.until("</db:result>")
    await wire.send(f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='invalid'/>")
    assert (await node.worker.hears(DialFailed)).condition == "internal-server-error"


async def test_a_key_of_another_acceptors_stream_is_verified_here(
    node: Node, other: Other, capulet: Peer
) -> None:
    node.worker.send(VerifyKey(other.name, 77, INWARD, "s1", "key"))
    wire = await capulet.greet(EXTERNAL_FEATURE)
    await capulet.admit(wire)
    await wire.until("</db:verify>")
    await wire.send(f"<db:verify from='{CAPULET}' to='{MONTAGUE}' id='s1' type='valid'/>")
    await eventually(lambda: other.told)
    assert other.told == [Verified(77, "valid")]


async def test_a_failed_handshake_is_counted(node: Node) -> None:
    wire = await node.wire(node.s2s_port)
    await wire.send(header(CAPULET, MONTAGUE))
    await wire.until("</stream:features>")
    await wire.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await wire.until("<proceed")
    await wire.send("no TLS is spoken here\r\n")
    await wire.ended()
    await eventually(
        lambda: node.counts("causeway_tls_handshakes_total", "server", "none", "failed")
    )


@pytest.mark.clause("ERR-05")
async def test_who_has_proved_itself_makes_room_for_strangers(
    start: StartNode, capulet: Peer
) -> None:
    node = await start(limits=Limits(unauthenticated_per_address=1))
    await capulet.authenticated(node.s2s_port)
    await node.worker.hears(Granted)
    stranger = await capulet.dial(node.s2s_port)
    await stranger.send(capulet.header())
    await stranger.until("</stream:features>")
    refused = await capulet.dial(node.s2s_port)
    assert await refused.ended() == ""
    await stranger.close()

    await eventually(lambda: len(node.acceptor.connections()) == 1)
    again = await capulet.dial(node.s2s_port)
    await again.send(capulet.header())
    await again.until("</stream:features>")


# --- the rest ---


async def test_a_lane_that_has_ended_is_forgotten_where_it_left(node: Node, capulet: Peer) -> None:
    component = await Component.attached(node)
    await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    node.worker.send(forward(OWN, data, granted.stream))
    await eventually(lambda: not node.acceptor.pending())
    (egress,) = [each for each in node.acceptor.connections() if each.leg == "s2s"]
    await component.wire.send(END)
    await component.wire.ended()
    one_more = forward(OWN, replace(data, first=2), egress.number)
    await eventually(lambda: egress.outlet.decline(one_more) is not None)


async def test_a_frame_that_is_not_for_acceptors_is_dropped(node: Node) -> None:
    node.worker.send(Attached(MONTAGUE, 5))
    node.worker.send(Dial(DomainPair(MONTAGUE, "nobody.invalid")))
    await node.worker.hears(Dialling)


async def test_nobody_is_dialled_after_the_drain_began(node: Node) -> None:
    node.acceptor.begin_drain()
    node.worker.send(Dial(OUTWARD))
    assert (await node.worker.hears(DialFailed)).condition == "remote-server-timeout"
