"""The proxy between two who connect to it: linked, relayed both ways, and who is not let in."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from router.acceptor.e2e.proxy import Proxy
from router.acceptor.e2e.socks5_links import Link, Listeners, connect
from router.config import Address
from router.xmpp import names
from router.xmpp.bytestreams.s5b_transport import Candidate
from router.xmpp.bytestreams.socks5 import dstaddr
from router.xmpp.jingle.element import payload
from router.xmpp.stanza import cut
from tests.support.acceptors import HOST, Changing
from tests.support.eventually import eventually

RELAY, ROMEO, JULIET = "relay.example", "romeo@montague.example/o", "juliet@capulet.example/b"
HASH = dstaddr("s", ROMEO, JULIET)
LARGE = bytes(range(256)) * 40_000


class User(asyncio.Protocol, Changing):
    """One end of the bytestream, after its handshake."""

    def __init__(self, link: Link) -> None:
        Changing.__init__(self)
        self.got = bytearray()
        self.is_over = False
        self.transport = link.transport
        self.transport.set_protocol(self)
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.got += data
        self.changed()

    def eof_received(self) -> bool:
        self.is_over = True
        self.changed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
        self.changed()


class Bench:
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.loop = loop
        self.proxy = Proxy(loop, RELAY, lambda address: not address.startswith("tybalt"))
        self.listeners: Listeners[None] = Listeners(loop, lambda who, link: None, self.proxy.hold)

    async def user(self, asked: str = HASH) -> User | None:
        place = Candidate("c", HOST, RELAY, self.listeners.addresses[0].port, 1)
        link = await connect(self.loop, place, asked, allow_private=True)
        return User(link) if link is not None else None

    def ask(self, inside: str = "", kind: str = "get", sender: str = ROMEO, sid: str = "") -> bytes:
        query = f"<query xmlns='{names.BYTESTREAMS}'{sid}>{inside}</query>"
        text = f"<iq from='{sender}' to='{RELAY}' id='1' type='{kind}'>{query}</iq>"
        stanza = next(cut(text.encode()))
        child = payload(stanza)
        assert child is not None
        return self.proxy.receive(stanza, child)

    def activate(self) -> bytes:
        return self.ask(f"<activate>{JULIET}</activate>", "set", sid=" sid='s'")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.listeners.open([Address(HOST, 0)])
    made.proxy.open(made.listeners.addresses[0])
    yield made
    made.proxy.close()
    made.listeners.close()


async def both(bench: Bench) -> tuple[User, User]:
    first, second = await bench.user(), await bench.user()
    assert first is not None and second is not None
    return first, second


@pytest.mark.clause("PRX-01")
async def test_it_says_where_it_is(bench: Bench) -> None:
    port = bench.listeners.addresses[0].port
    assert f'port="{port}"'.encode() in bench.ask().replace(b"'", b'"')
    assert b"<forbidden" in bench.ask(sender="tybalt@capulet.example")
    bench.proxy.close()
    assert b"<not-allowed" in bench.ask()


@pytest.mark.clause("PRX-02", "PRX-03")
async def test_what_one_writes_the_other_reads(bench: Bench) -> None:
    first, second = await both(bench)
    assert await bench.user() is None  # a third
    first.transport.write(b"too early")
    assert b"type='result'" in bench.activate().replace(b'"', b"'")
    await eventually(lambda: True)
    first.transport.write(LARGE)
    second.transport.write(b"back")
    await second.until(lambda: second.got.endswith(LARGE[-256:]) and len(second.got) >= len(LARGE))
    await first.until(lambda: bytes(first.got) == b"back")
    first.transport.close()
    second.transport.close()


@pytest.mark.clause("PRX-04")
async def test_an_end_is_passed_on_and_the_other_way_goes_on(bench: Bench) -> None:
    first, second = await both(bench)
    bench.activate()
    first.transport.write_eof()
    await second.until(lambda: second.is_over)
    second.transport.write(b"still")
    await first.until(lambda: bytes(first.got) == b"still")
    second.transport.write_eof()
    await first.until(lambda: first.is_over)
    first.transport.close()
    second.transport.close()


@pytest.mark.clause("PRX-03")
async def test_one_side_alone_is_not_activated(bench: Bench) -> None:
    assert b"<not-authorized" in bench.activate()
    first = await bench.user()
    assert first is not None
    assert b"<not-allowed" in bench.activate()
    first.transport.close()


async def test_who_loses_the_other_is_closed_too(bench: Bench) -> None:
    first, second = await both(bench)
    bench.activate()
    first.transport.abort()
    await second.until(lambda: second.is_over)
    second.transport.close()


async def test_a_proxy_that_closes_cuts_everybody(bench: Bench) -> None:
    first, second = await both(bench)
    bench.proxy.close()
    for user in (first, second):
        await user.until(lambda: user.is_over)  # noqa: B023
        user.transport.close()
