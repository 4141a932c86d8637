"""A certificate authority and a store of one certificate, for what runs over TLS."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bench.authority import Authority
from router.acceptor.certificates import CertificateStore
from tests.support.layers import MONTAGUE


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def store(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    directory = tmp_path_factory.mktemp("certs")
    authority.issue(MONTAGUE, into=directory, intermediate=True)
    return CertificateStore(directory, [MONTAGUE])


@pytest.fixture
async def nothing_escapes() -> AsyncIterator[None]:
    """No test may make the loop report an exception that nobody caught."""
    escaped: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    yield
    assert escaped == []
