"""SOCKS5 bytestreams with slixmpp's plugin for XEP-0065 at one end or at both, over loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast
from xml.etree import ElementTree as etree

import pytest
from slixmpp.plugins.xep_0065 import Socks5Protocol

from router.xmpp.bytestreams.listening import ExpectedConnections
from router.xmpp.bytestreams.proxy import Link, ProxyRole
from router.xmpp.bytestreams.relay import (
    Action,
    Disconnect,
    EndWriting,
    PauseReading,
    ResumeReading,
    Write,
)
from router.xmpp.bytestreams.socks5 import (
    Broken,
    Established,
    Requested,
    Socks5Client,
    Socks5Server,
    dstaddr,
)
from router.xmpp.bytestreams.streamhost import QUERY_TAG, StreamHost
from router.xmpp.stanza import Stanza, result
from tests.router.xmpp.bytestreams.slix import Slix, slixmpp
from tests.support.pump import NOW

REQUESTER, TARGET, PROXY = "romeo.example", "juliet.example", "proxy.example"
SID = "vj3hs98y"


class Socks(asyncio.Protocol):
    """One accepted connection: the handshake, then whatever `on_data` and `on_end` make of it."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.core: Socks5Server | None = Socks5Server()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.number = len(self.host.sockets)
        self.host.sockets.append(self)

    def data_received(self, octets: bytes) -> None:
        if self.core is None:
            self.host.on_data(self.number, octets)
            return
        said = self.core.receive(octets)
        is_accepted = False
        if isinstance(said, Requested):
            is_accepted = self.host.may_come(self.number, said.dstaddr)
            if is_accepted:
                self.core.accept()
            else:
                self.core.refuse()
        self.transport.write(self.core.bytes_to_send())
        if is_accepted:
            self.core = None
        elif said is not None:
            self.transport.close()

    def eof_received(self) -> bool:
        self.host.on_end(self.number)
        return True


class Host:
    """A listening place for SOCKS5; what becomes of its connections is set from outside."""

    def __init__(self) -> None:
        self.sockets: list[Socks] = []
        self.port = 0
        self.may_come: Callable[[int, str], bool] = lambda number, dstaddr: False
        self.on_data: Callable[[int, bytes], None] = lambda number, octets: None
        self.on_end: Callable[[int], None] = lambda number: None

    def do(self, actions: list[Action]) -> None:
        """What a proxy wants done with its connections."""
        for action in actions:
            transport = self.sockets[action.connection].transport
            match action:
                case Write(octets=octets):
                    transport.write(octets)
                case EndWriting():
                    transport.write_eof()
                case PauseReading():
                    transport.pause_reading()
                case ResumeReading():
                    transport.resume_reading()
                case Disconnect():
                    transport.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Host]:
    host = Host()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Socks(host), "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()
        for socks in host.sockets:
            socks.transport.abort()


class Network:
    """What stands between the addresses: stanzas go to slixmpp, or to the proxy's core."""

    def __init__(self) -> None:
        self.peers: dict[str, Slix] = {}
        self.role: ProxyRole | None = None
        self.results: list[Stanza] = []
        self.changed = asyncio.Event()

    def route(self, stanza: Stanza) -> None:
        """One stanza of slixmpp's."""
        to = stanza.attributes["to"]
        if to in self.peers:
            self.peers[to].take(stanza.octets)
        elif self.role is not None and stanza.attributes["type"] in ("get", "set"):
            self.peers[stanza.attributes["from"]].take(self._ask(stanza))
        else:
            self.results.append(stanza)
            self.changed.set()

    def _ask(self, stanza: Stanza) -> bytes:
        assert self.role is not None
        query = etree.fromstring(stanza.octets)[0]
        if query.tag != QUERY_TAG:
            return self._disco(stanza, query)
        answer = self.role.receive(stanza, query)
        return self.role.linked(answer) if isinstance(answer, Link) else answer

    def _disco(self, stanza: Stanza, query: etree.Element) -> bytes:
        namespace = query.tag[1:].partition("}")[0]
        inside = "<identity category='proxy' type='bytestreams'/>"
        if namespace.endswith("items"):
            inside = f"<item jid='{PROXY}'/>"
        return result(stanza, f"<query xmlns='{namespace}'>{inside}</query>")


def hang_up(peer: Slix) -> None:
    """Close slixmpp's connections; its own way to do so fails."""
    for protocol in peer.plugin["xep_0065"]._sessions.values():
        protocol.transport.close()


async def until(is_so: Callable[[], bool], changed: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            changed.clear()
            await changed.wait()


@pytest.mark.clause("S5B-07", "S5B-08")
async def test_slixmpp_connects_to_our_direct_candidate() -> None:
    expected = ExpectedConnections[str]()
    expected.expect(dstaddr(SID, PROXY, TARGET), "bytestream", NOW + 30)
    received, changed, heard = bytearray(), asyncio.Event(), bytearray()

    def on_data(number: int, octets: bytes) -> None:
        received.extend(octets)
        host.sockets[number].transport.write(b"back")
        changed.set()

    def event(name: str, data: object) -> None:
        if name == "socks5_data":
            assert isinstance(data, bytes)
            heard.extend(data)
            changed.set()

    async with listening() as host:
        host.may_come = lambda number, asked: expected.claim(asked, NOW) is not None
        host.on_data = on_data
        loop = asyncio.get_running_loop()
        hashed = dstaddr(SID, PROXY, TARGET)
        transport, protocol = await loop.create_connection(
            lambda: Socks5Protocol(hashed, 0, event), "127.0.0.1", host.port
        )
        assert await asyncio.wait_for(protocol.connected, 5) == (hashed, 0)
        await protocol.write(b"forth")
        await until(lambda: received == b"forth" and heard == b"back", changed)
        transport.close()


@pytest.mark.clause("S5B-07")
async def test_slixmpp_as_the_target_takes_an_offer_of_ours() -> None:
    network = Network()
    connected = asyncio.Event()
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(listening())
        hashed = dstaddr(SID, REQUESTER, TARGET)
        host.may_come = lambda number, asked: asked == hashed
        plugin: dict[str, dict[str, object]] = {"xep_0065": {"auto_accept": True}}
        target = await stack.enter_async_context(slixmpp(TARGET, network.route, **plugin))
        target.add_event_handler("socks5_stream", lambda _: connected.set())
        place = StreamHost(REQUESTER, "127.0.0.1", host.port)
        query = place.element().replace("<query ", f"<query sid='{SID}' ")
        target.take(f"<iq from='{REQUESTER}' to='{TARGET}' id='1' type='set'>{query}</iq>".encode())
        await asyncio.wait_for(connected.wait(), 5)
        await until(lambda: bool(network.results), network.changed)
        assert b"streamhost-used" in network.results[0].octets
        hang_up(target)


@pytest.mark.clause("PRX-01", "PRX-02", "PRX-03", "S5B-07")
async def test_two_slixmpps_through_our_proxy() -> None:
    network, changed = Network(), asyncio.Event()
    heard = bytearray()

    def on_data(octets: bytes) -> None:
        heard.extend(octets)
        changed.set()

    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(listening())
        role = network.role = ProxyRole(StreamHost(PROXY, "127.0.0.1", host.port), lambda _: True)
        host.may_come = lambda number, asked: role.hold(number, asked, "127.0.0.1", NOW)
        host.on_data = lambda number, octets: host.do(role.received(number, octets))
        host.on_end = lambda number: host.do(role.ended(number))
        for domain in (REQUESTER, TARGET):
            network.peers[domain] = await stack.enter_async_context(
                slixmpp(domain, network.route, xep_0065={"auto_accept": True})
            )
        requester, target = network.peers[REQUESTER], network.peers[TARGET]
        target.add_event_handler("socks5_data", on_data)
        socks5 = requester.plugin["xep_0065"]
        await socks5.discover_proxies(jid=PROXY, ifrom=REQUESTER)
        connection = await asyncio.wait_for(socks5.handshake(TARGET, REQUESTER, SID), 5)
        assert (role.held, role.pairs) == (0, 1)
        octets = bytes(range(256)) * 400
        await connection.write(octets)
        await until(lambda: heard == octets, changed)
        assert role.relayed_bytes == len(octets)
        hang_up(requester)
        hang_up(target)


@pytest.mark.clause("S5B-07")
async def test_our_client_and_our_server_over_a_socket() -> None:
    hashed = dstaddr(SID, REQUESTER, TARGET)
    async with listening() as host:
        host.may_come = lambda number, asked: asked == hashed
        for address, outcome in ((hashed, Established), (dstaddr(SID, TARGET, REQUESTER), Broken)):
            reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
            client, said = Socks5Client(address), None
            while said is None:
                writer.write(client.bytes_to_send())
                said = client.receive(await asyncio.wait_for(reader.read(3), 5))
            assert isinstance(said, outcome)
            writer.close()
