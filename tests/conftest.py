"""What every test gets: the production event loop, and servers that end with the test."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop
from hypothesis import settings

from bench.authority import Authority
from bench.peers import ejabberd, prosody
from bench.peers.causeway import Causeway
from bench.peers.ejabberd import Ejabberd
from bench.peers.prosody import Prosody
from tests.support.nodes import authority_for_tests, node

settings.register_profile("untimed", deadline=None)  # timing never decides a test
settings.load_profile("untimed")

StartProsody = Callable[..., Awaitable[Prosody]]
StartEjabberd = Callable[..., Awaitable[Ejabberd]]
StartNode = Callable[..., Awaitable[Causeway]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """Asynchronous tests run on the loop that the processes run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start_prosody(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StartProsody]:
    """Start a Prosody in a directory of its own, settings as for its class; all stop at the end.

    Fails where Prosody is missing: such a test is only ever asked for by its marker.
    """
    if not prosody.installed():
        pytest.fail("Prosody is not installed: apt-get install prosody prosody-modules")
    async with AsyncExitStack() as running:

        async def start(**settings: Any) -> Prosody:
            server = Prosody(tmp_path_factory.mktemp("prosody"), **settings)
            return await running.enter_async_context(server)

        yield start


@pytest.fixture
async def start_ejabberd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StartEjabberd]:
    """Start an ejabberd as `start_prosody` does a Prosody; fails where it is missing."""
    if not ejabberd.installed():
        pytest.fail("ejabberd is not installed: apt-get install ejabberd")
    async with AsyncExitStack() as running:

        async def start(**settings: Any) -> Ejabberd:
            server = Ejabberd(tmp_path_factory.mktemp("ejabberd"), **settings)
            return await running.enter_async_context(server)

        yield start


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Certificates for all the domains of `tests.support.nodes`."""
    return authority_for_tests(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
async def start_node(
    tmp_path_factory: pytest.TempPathFactory, issuer: Authority
) -> AsyncIterator[StartNode]:
    """Start a node, settings as for `tests.support.nodes.node`; it is judged when the test ends."""
    async with AsyncExitStack() as running:

        async def start(**settings: Any) -> Causeway:
            directory = tmp_path_factory.mktemp("node")
            return await running.enter_async_context(node(directory, issuer, **settings))

        yield start
