"""Everything in this directory starts real processes, so all of it is marked processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bench.authority import Authority
from bench.peers.causeway import Causeway
from tests.support.nodes import CAPULET, MONTAGUE, certificate, node
from tests.support.scripted_peer import HOST, Peer, scripted

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory; pytest hands over those of every other one, too."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.processes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_node(
    tmp_path_factory: pytest.TempPathFactory, issuer: Authority
) -> AsyncIterator[Causeway]:
    """One node for a whole module, judged at its end; it knows no way to any remote domain."""
    settings = {"dns": {"resolvers": ["127.0.0.1:9"]}}
    async with node(tmp_path_factory.mktemp("node"), issuer, settings=settings) as running:
        yield running


@pytest.fixture
async def capulet(issuer: Authority) -> AsyncIterator[Peer]:
    """A scripted server for CAPULET, with a certificate that proves it."""
    async with scripted(CAPULET, MONTAGUE, certificate(issuer, CAPULET)) as peer:
        yield peer


@pytest.fixture
def route_to_capulet(capulet: Peer) -> dict[str, tuple[str, int]]:
    """The node's static route to it."""
    return {CAPULET: (HOST, capulet.port)}
