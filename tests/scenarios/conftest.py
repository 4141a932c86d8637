"""Everything in this directory starts real processes, so all of it is marked processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bench.authority import Authority
from tests.scenarios.stage import Stage, staged

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory; pytest hands over those of every other one, too."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.processes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    tmp_path_factory: pytest.TempPathFactory, issuer: Authority
) -> AsyncIterator[Stage]:
    """One node for a module, judged at its end."""
    async with staged(tmp_path_factory.mktemp("node"), issuer) as found:
        yield found
