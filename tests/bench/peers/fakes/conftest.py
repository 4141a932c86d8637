"""Two fakes that know each other's address, with certificates of one authority."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.fakes.fake import HOST, Fake
from bench.peers.fakes.profiles import Profile

MONTAGUE, VERONA = "montague.example", "verona.example"
CAPULET, TYBALT = "capulet.example", "tybalt.example"

Pair = Callable[..., Awaitable[tuple[Fake, Fake]]]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority.make(tmp_path_factory.mktemp("fakes"))
    authority.issue(MONTAGUE, dns=(MONTAGUE, VERONA))
    authority.issue(CAPULET, dns=(CAPULET, TYBALT))
    return authority


def certificate(authority: Authority, domain: str) -> Path:
    return authority.directory / f"{domain}.crt"


@pytest.fixture
async def two(authority: Authority) -> AsyncIterator[Pair]:
    """Start both; `mine` and `theirs` are further settings of the first and of the second."""
    async with AsyncExitStack() as stack:

        async def start(
            first: str | Profile,
            second: str | Profile,
            mine: dict[str, Any] | None = None,
            theirs: dict[str, Any] | None = None,
        ) -> tuple[Fake, Fake]:
            fakes = []
            sides = ((first, MONTAGUE, VERONA, mine), (second, CAPULET, TYBALT, theirs))
            for profile, domain, also, more in sides:
                settings = {
                    "certificate": certificate(authority, domain),
                    "trust_anchors": authority.anchors,
                    "also": (also,),
                    **(more or {}),
                }
                fakes.append(await stack.enter_async_context(Fake(profile, domain, **settings)))
            one, other = fakes
            one.peers.update(dict.fromkeys((CAPULET, TYBALT), (HOST, other.port)))
            other.peers.update(dict.fromkeys((MONTAGUE, VERONA), (HOST, one.port)))
            return one, other

        yield start
