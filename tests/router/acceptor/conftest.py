"""Certificates for what runs over TLS; one whole acceptor and who talks to it; a dialer alone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from bench.authority import Authority
from router.acceptor.certificates.store import CertificateStore
from router.config import Address, Config, Dialback, Dns, Domain, Limits, Tls
from router.config import Peer as PeerConfig
from tests.support.acceptor_node import Node, Other, StartNode
from tests.support.acceptors import HOST
from tests.support.dialling import Caller
from tests.support.layers import CAPULET, MONTAGUE
from tests.support.nodes import SECRET, TYBALT, VERONA, certificate
from tests.support.scripted_peer import Peer, scripted


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A root of the module's own."""
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def store(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    """What Montague shows, with an intermediate, and what Capulet shows."""
    directory = tmp_path_factory.mktemp("certs")
    authority.issue(MONTAGUE, into=directory, intermediate=True)
    authority.issue(CAPULET, into=directory)
    return CertificateStore(directory, [MONTAGUE, CAPULET])


@pytest.fixture
async def nothing_escapes() -> AsyncIterator[None]:
    """No test may make the loop report an exception that nobody caught."""
    escaped: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    yield
    assert escaped == []


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


@pytest.fixture
async def other(node: Node, directory: Path) -> AsyncIterator[Other]:
    other = Other(node, directory)
    node.others = ((other.name, other.endpoint),)
    await node.owned_by(node.worker)
    yield other
    other.close()


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """A dialer whose connections end with the test."""
    caller = Caller()
    yield caller
    for connection in caller.connections:
        connection.abort()


@pytest.fixture
async def second(issuer: Authority) -> AsyncIterator[Peer]:
    """Another server of capulet.example."""
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer
