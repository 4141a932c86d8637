"""What every test gets: the production event loop, and foreign servers that end with the test."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from bench.peers import prosody
from bench.peers.prosody import Prosody

StartProsody = Callable[..., Awaitable[Prosody]]


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
