"""A certificate authority and a store of two certificates, for what runs over TLS."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bench.authority import Authority
from router.acceptor.certificates import CertificateStore
from tests.support.layers import CAPULET, MONTAGUE


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
