"""Everything in this directory talks to a real foreign server, so all of it is marked interop."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.daemon import free_port
from bench.peers.prosody import HOST
from bench.traffic import Record
from tests.conftest import StartEjabberd, StartNode, StartProsody
from tests.support.component import attached
from tests.support.federation import Federate, Federation
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, VERONA

HERE = Path(__file__).parent
HANGS_S = 180  # a loaded machine takes its time; only what never ends is ended


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory; pytest hands over those of every other one, too."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.timeout(HANGS_S))


@pytest.fixture(scope="session")
def two_way_issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """As `issuer`, and fit to prove a client: ejabberd 23.01 wants that of a peer that dials it."""
    authority = Authority.make(tmp_path_factory.mktemp("two-way-issuer"))
    for domain in (MONTAGUE, VERONA, CAPULET, TYBALT):
        authority.issue(domain, eku="both")
    return authority


async def federation(
    stack: AsyncExitStack,
    start_node: StartNode,
    start_server: StartProsody | StartEjabberd,
    issuer: Authority,
    server: dict[str, Any],
    record: Record | None,
    node: dict[str, Any],
) -> Federation:
    """Start both, each with a way to the other, and attach MONTAGUE here and CAPULET there."""
    port = free_port()
    trust = {"certificates": issuer.directory, "trust_anchors": issuer.anchors}
    routes = {CAPULET: (HOST, port), TYBALT: (HOST, port)}
    ours = await start_node(**{**trust, "routes": routes, **node})
    settings = {
        **trust,
        "components": {CAPULET: SECRET},
        "routes": dict.fromkeys((MONTAGUE, VERONA), (HOST, ours.s2s_port)),
        "s2s_port": port,
        "log_level": "info",
    }
    theirs = await start_server(**{**settings, **server})
    record = record or Record(0, 0)
    romeo = await stack.enter_async_context(attached(MONTAGUE, SECRET, ours.component_port, record))
    juliet = await stack.enter_async_context(
        attached(CAPULET, SECRET, theirs.component_port, record)
    )
    return Federation(ours, theirs, romeo, juliet)


@pytest.fixture
async def federate(
    start_node: StartNode, start_prosody: StartProsody, issuer: Authority
) -> AsyncIterator[Federate]:
    """Start a node and a Prosody; `prosody` and the rest are settings of the one and the other."""
    async with AsyncExitStack() as stack:
        start = partial(federation, stack, start_node, start_prosody, issuer)
        yield lambda record=None, prosody=None, **node: start(prosody or {}, record, node)


@pytest.fixture
async def federate_ejabberd(
    start_node: StartNode, start_ejabberd: StartEjabberd, two_way_issuer: Authority
) -> AsyncIterator[Federate]:
    """Start a node and an ejabberd, as `federate` does."""
    async with AsyncExitStack() as stack:
        start = partial(federation, stack, start_node, start_ejabberd, two_way_issuer)
        yield lambda record=None, ejabberd=None, **node: start(ejabberd or {}, record, node)
