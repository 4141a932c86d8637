"""Everything in this directory talks to a real foreign server, so all of it is marked interop."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.daemon import free_port
from bench.peers.prosody import HOST
from bench.traffic import Record
from tests.conftest import StartNode, StartProsody
from tests.support.component import attached
from tests.support.federation import Federate, Federation
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, VERONA

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory; pytest hands over those of every other one, too."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.interop)


@pytest.fixture
async def federate(
    start_node: StartNode, start_prosody: StartProsody, issuer: Authority
) -> AsyncIterator[Federate]:
    """Start both; `prosody` and `node` are settings of the one and the other."""
    async with AsyncExitStack() as stack:

        async def start(
            record: Record | None = None, prosody: dict[str, Any] | None = None, **node: Any
        ) -> Federation:
            port = free_port()
            ours = await start_node(**{"routes": {CAPULET: (HOST, port)}, **node})
            settings = {
                "certificates": issuer.directory,
                "trust_anchors": issuer.anchors,
                "components": {CAPULET: SECRET},
                "routes": dict.fromkeys((MONTAGUE, VERONA), (HOST, ours.s2s_port)),
                "s2s_port": port,
                "log_level": "info",
            }
            theirs = await start_prosody(**{**settings, **(prosody or {})})
            record = record or Record(0, 0)
            romeo = await stack.enter_async_context(
                attached(MONTAGUE, SECRET, ours.component_port, record)
            )
            juliet = await stack.enter_async_context(
                attached(CAPULET, SECRET, theirs.component_port, record)
            )
            return Federation(ours, theirs, romeo, juliet)

        yield start
