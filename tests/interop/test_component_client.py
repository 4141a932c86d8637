"""We as a component of a real server (XEP-0114): the core on a socket, and nothing else of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.ejabberd import Ejabberd
from bench.peers.prosody import HOST, Prosody
from router.xmpp.component_client import ComponentClientStream
from router.xmpp.events import Event, PairAuthorised, RunReceived, StreamClosed
from router.xmpp.pair import DomainPair
from tests.conftest import StartEjabberd, StartProsody
from tests.support.component import attached
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, VERONA
from tests.support.pump import policy

PATIENCE_S = 30.0
MESSAGES = 500


class Client:
    """A connection to a component port with the core on it."""

    def __init__(self, domain: str, secret: str) -> None:
        self.core = ComponentClientStream(policy(VERONA), domain, secret, self._now())
        self.seen: list[Event] = []

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def connect(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection(HOST, port)
        self.seen += self.core.open()

    def flush(self) -> None:
        self._writer.write(self.core.bytes_to_send())

    async def until(self, holds: Callable[[list[Event]], bool]) -> None:
        """Talk on until what has been seen is enough."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self.flush()
                if holds(self.seen):
                    return
                octets = await self._reader.read(65_536)
                self.seen += (
                    self.core.receive_bytes(octets, self._now())
                    if octets
                    else self.core.receive_eof(self._now())
                )

    async def end(self) -> None:
        self.seen += self.core.close(self._now())
        await self.until(is_over)
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def connected(port: int, domain: str, secret: str = SECRET) -> AsyncIterator[Client]:
    client = Client(domain, secret)
    await client.connect(port)
    try:
        yield client
    finally:
        await client.end()


def is_over(seen: list[Event]) -> bool:
    return any(isinstance(event, StreamClosed) for event in seen)


def is_attached(seen: list[Event]) -> bool:
    return any(isinstance(event, PairAuthorised) for event in seen)


def stanzas(seen: list[Event]) -> int:
    return sum(event.counts.total for event in seen if isinstance(event, RunReceived))


@pytest.fixture(params=["prosody", "ejabberd"])
async def server(
    request: pytest.FixtureRequest,
    start_prosody: StartProsody,
    start_ejabberd: StartEjabberd,
    issuer: Authority,
) -> Prosody | Ejabberd:
    """Of which MONTAGUE and CAPULET are components."""
    settings: dict[str, Any] = {
        "certificates": issuer.directory,
        "trust_anchors": issuer.anchors,
        "components": {MONTAGUE: SECRET, CAPULET: SECRET},
    }
    start = start_prosody if request.param == "prosody" else start_ejabberd
    return await start(**settings)


@pytest.mark.clause("CMP-01", "CMP-03", "CMP-04")
async def test_stanzas_go_both_ways_in_order(server: Prosody | Ejabberd) -> None:
    port = server.component_port
    async with attached(CAPULET, SECRET, port) as juliet, connected(port, MONTAGUE) as ours:
        await ours.until(is_attached)
        for number in range(MESSAGES):
            there = f"<message id='n{number}' from='{MONTAGUE}' to='{CAPULET}'/>"
            ours.core.send_run(DomainPair(MONTAGUE, CAPULET), there.encode(), 1)
            back = f"<message id='b{number}' from='b@{CAPULET}' to='{MONTAGUE}'/>"
            juliet.write(back)
        await ours.until(lambda seen: stanzas(seen) == MESSAGES)
        await juliet.until(lambda: juliet.arrived == MESSAGES)
        assert juliet.numbers == list(range(MESSAGES))
        octets = b"".join(event.octets for event in ours.seen if isinstance(event, RunReceived))
        assert [octets.index(b"b%d'" % n) for n in range(MESSAGES)] == sorted(
            octets.index(b"b%d'" % n) for n in range(MESSAGES)
        )
    closed = ours.seen[-1]
    assert isinstance(closed, StreamClosed)
    assert (closed.condition, closed.is_complete) == (None, True)


@pytest.mark.clause("CMP-03")
async def test_another_secret(server: Prosody | Ejabberd) -> None:
    async with connected(server.component_port, MONTAGUE, "wrong") as ours:
        await ours.until(is_over)
    assert not is_attached(ours.seen)
    [closed] = [event for event in ours.seen if isinstance(event, StreamClosed)]
    assert (closed.condition, closed.by_peer) == ("not-authorized", True)
