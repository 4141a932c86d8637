"""Connections that become bytestreams: the handshake at both ends, and who is not let in."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from router.acceptor.e2e import socks5_links
from router.acceptor.e2e.socks5_links import Link, Listeners, connect
from router.config import Address
from router.xmpp.bytestreams.s5b_transport import Candidate
from router.xmpp.bytestreams.socks5 import dstaddr
from tests.support.acceptors import HOST
from tests.support.eventually import eventually

HASH = dstaddr("sid", "us.example", "peer.example")


@dataclass(eq=False)
class Party:
    """Somebody who expects a bytestream."""

    links: list[Link] = field(default_factory=list)


Open = Listeners[Party]


@pytest.fixture
async def listeners() -> AsyncIterator[Open]:
    made: Open = Listeners(asyncio.get_running_loop(), lambda party, link: party.links.append(link))
    await made.open([Address(HOST, 0)])
    yield made
    made.close()


def candidate(listeners: Open, host: str = HOST) -> Candidate:
    return Candidate("cid", host, "peer.example", listeners.addresses[0].port, 1)


async def linked(listeners: Open, asked: str = HASH, *, private: bool = True) -> Link | None:
    loop = asyncio.get_running_loop()
    return await connect(loop, candidate(listeners), asked, allow_private=private)


@pytest.mark.clause("S5B-07", "S5B-08")
async def test_who_asks_for_what_is_expected_is_let_in_once(listeners: Open) -> None:
    party = Party()
    listeners.expected.expect(HASH, party, asyncio.get_running_loop().time() + 60)
    link = await linked(listeners)
    assert link is not None
    assert await linked(listeners) is None
    (came,) = party.links
    assert (came.rest, link.rest) == (b"", b"")
    assert not came.transport.is_reading()  # until a stream takes it over
    link.close()
    came.close()


async def test_who_asks_for_anything_else_is_not(listeners: Open) -> None:
    assert await linked(listeners, dstaddr("other", "a", "b")) is None


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\n\r\n", b"\x04\x01", b"\x05\x01\x02"])
async def test_other_protocols_are_cut_off(listeners: Open, octets: bytes) -> None:
    reader, writer = await asyncio.open_connection(HOST, listeners.addresses[0].port)
    writer.write(octets)
    assert await reader.read() in (b"", b"\x05\xff")
    writer.close()


async def test_a_stranger_who_says_nothing_is_dropped(
    listeners: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socks5_links, "HANDSHAKE_S", 0.01)
    reader, writer = await asyncio.open_connection(HOST, listeners.addresses[0].port)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_strangers_are_few(listeners: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks5_links, "MAX_STRANGERS", 1)
    _, first = await asyncio.open_connection(HOST, listeners.addresses[0].port)
    await eventually(lambda: listeners._strangers)
    reader, second = await asyncio.open_connection(HOST, listeners.addresses[0].port)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    for writer in (first, second):
        writer.close()


async def test_a_private_address_is_dialled_only_where_that_is_allowed(listeners: Open) -> None:
    party = Party()
    listeners.expected.expect(HASH, party, asyncio.get_running_loop().time() + 60)
    assert await linked(listeners, private=False) is None
    assert party.links == []


async def test_a_place_where_nobody_listens(listeners: Open) -> None:
    place = candidate(listeners)
    listeners.close()
    loop = asyncio.get_running_loop()
    assert await connect(loop, place, HASH, allow_private=True) is None


async def test_a_place_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socks5_links, "HANDSHAKE_S", 0.05)
    with socket.create_server((HOST, 0)) as silent:
        place = Candidate("cid", HOST, "peer.example", silent.getsockname()[1], 1)
        loop = asyncio.get_running_loop()
        assert await connect(loop, place, HASH, allow_private=True) is None


async def test_an_address_that_is_taken_is_logged_and_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server((HOST, 0)) as taken:
        made: Open = Listeners(asyncio.get_running_loop(), lambda party, link: None)
        await made.open([Address(HOST, taken.getsockname()[1])])
        assert made.addresses == []
    assert "socks5.cannot_listen" in capsys.readouterr().out
