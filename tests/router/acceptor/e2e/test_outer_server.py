"""The router's address at another server: attached, kept; what cannot leave comes back."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from router.acceptor.connection import Connection
from router.acceptor.e2e import outer_server
from router.acceptor.e2e.outer_server import OuterServer
from router.acceptor.openings import Openings
from router.config import Address, Config, Domain, E2e
from router.xmpp.errors import StanzaError
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import HOST, Changing

RELAY, PEER = "relay.montague.example", "relay.capulet.example"
OURS = DomainPair(RELAY, PEER)
ONE = Counts(0, 0, 1)
IQ = f"<iq from='{PEER}' to='{RELAY}' id='1' type='set'><x xmlns='urn:x'/></iq>".encode()


class Server(Changing):
    """A server that takes components; what it got, and the connections it has."""

    def __init__(self) -> None:
        super().__init__()
        self.got = b""
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        await reader.readuntil(b">")
        head = "<stream:stream xmlns='jabber:component:accept' id='77' "
        head += f"xmlns:stream='http://etherx.jabber.org/streams' from='{RELAY}'>"
        writer.write(head.encode())
        digest = hashlib.sha1(b"77s3cr3t").hexdigest().encode()
        assert digest in await reader.readuntil(b"</handshake>")
        writer.write(b"<handshake/>")
        while octets := await reader.read(4096):
            self.got += octets
            self.changed()
        writer.close()


class Bench(Changing):
    def __init__(self, server: Server) -> None:
        super().__init__()
        e2e = E2e(RELAY, server=Address(HOST, server.port), secret="s3cr3t")
        domains = {"montague.example": Domain("component", secret="x")}
        config = Config(domains=domains, e2e=e2e)
        around: Any = self
        loop = asyncio.get_running_loop()
        self.received: list[bytes] = []
        self.returned: list[tuple[bytes, StanzaError]] = []
        self.times_served = 0
        self.counted = {"in": 0, "out": 0}
        self.openings = Openings(around, loop, config)
        self.outer = OuterServer(
            loop, config, self.openings, around, self._came, self._back, self._is_served
        )

    def _came(self, octets: bytes) -> None:
        self.received.append(octets)
        self.changed()

    def _back(self, pair: DomainPair, octets: bytes, error: StanzaError) -> None:
        self.returned.append((octets, error))
        self.changed()

    def _is_served(self) -> None:
        self.times_served += 1
        self.changed()

    def taken(self, connection: Connection, counts: Counts, octets: int) -> None:
        self.counted["in"] += counts.total

    def count_sent(self, connection: Connection, counts: Counts, octets: int) -> None:
        self.counted["out"] += counts.total


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, HOST, 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    for writer in made.writers:
        writer.close()
    listening.close()


@pytest.mark.clause("CMP-01", "CMP-03")
async def test_stanzas_come_and_go_over_the_connection(server: Server) -> None:
    bench = Bench(server)
    bench.outer.begin()
    await bench.until(lambda: bench.times_served == 1)
    server.writers[0].write(IQ)
    await bench.until(lambda: bench.received == [IQ])
    bench.outer.send(OURS, ONE, b"<iq id='2'/>")
    await server.until(lambda: server.got == b"<iq id='2'/>")
    assert bench.counted == {"in": 1, "out": 1}
    bench.outer.end()
    await server.until(lambda: server.got.endswith(b"</stream:stream>"))
    server.writers[0].write(b"</stream:stream>")
    await bench_is_empty(bench)


async def bench_is_empty(bench: Bench) -> None:
    async with asyncio.timeout(10):
        while bench.openings.open:  # noqa: ASYNC110 - the last step has no event
            await asyncio.sleep(0.005)


async def test_without_a_connection_what_is_said_comes_back(server: Server) -> None:
    bench = Bench(server)
    bench.outer.send(OURS, ONE, b"<iq id='2'/>")
    await bench.until(lambda: bool(bench.returned))
    ((octets, error),) = bench.returned
    assert (octets, error.condition) == (b"<iq id='2'/>", "remote-server-timeout")


async def test_a_stanza_without_sense_is_answered(server: Server) -> None:
    bench = Bench(server)
    bench.outer.begin()
    await bench.until(lambda: bench.times_served == 1)
    server.writers[0].write(f"<iq from='{PEER}' to='{RELAY}' type='get'><x/></iq>".encode())
    await server.until(lambda: b"<bad-request" in server.got)
    assert bench.received == []
    server.writers[0].close()
    bench.outer.end()
    await bench_is_empty(bench)


async def test_a_lost_connection_is_made_anew(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outer_server, "FIRST_S", 0.01)
    bench = Bench(server)
    bench.outer._wait_s = 0.01
    bench.outer.begin()
    await bench.until(lambda: bench.times_served == 1)
    server.writers[0].transport.abort()
    await bench.until(lambda: bench.times_served == 2)
    server.writers[1].transport.abort()
    bench.outer.end()
    await bench_is_empty(bench)


async def test_a_server_that_is_away_is_tried_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(server)
    nowhere = E2e(RELAY, server=Address(HOST, 1), secret="s3cr3t")
    bench.outer._config = replace(bench.outer._config, e2e=nowhere)
    bench.outer._wait_s = 0.001
    bench.outer.begin()
    said = ""
    async with asyncio.timeout(10):
        while said.count("e2e.server_unreachable") < 2:
            said += capsys.readouterr().out
            await asyncio.sleep(0.005)
    bench.outer.end()
