"""Connections that come in: each kind to its maker, strangers only as many as there may be."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from types import SimpleNamespace

import pytest

from router.acceptor.admission import Admission
from router.acceptor.connection import Connection
from router.acceptor.dialling.addresses import Listening
from router.acceptor.listener import Kind, Listener
from tests.support.acceptors import HOST, Hub, connection_of
from tests.support.pump import MONTAGUE, NOW, ReceivingStream, ids, policy

KINDS: tuple[Kind, ...] = ("s2s", "s2s_direct_tls", "components", "inside")
SETTINGS = policy(MONTAGUE, handshake_timeout_s=1e9)


class Makes:
    """As much of the openings as a listener sees: says what it was asked to make."""

    def __init__(self, per_address: int = 10) -> None:
        self.admission = Admission(per_address, 100)
        self.hub = Hub()
        self.listening = Listening()
        self.made: list[tuple[str, Connection]] = []

    def inbound(self, *, direct_tls: bool, leg: str = "s2s") -> Connection:
        if leg == "server":
            return self._make("inside", leg)
        return self._make("s2s_direct_tls" if direct_tls else "s2s")

    def component(self) -> Connection:
        return self._make("components")

    def _make(self, kind: str, leg: str = "s2s") -> Connection:
        core = ReceivingStream(SETTINGS, ids(), NOW)
        connection = connection_of(core, self.hub, number=len(self.made) + 1)
        connection.leg = leg
        self.made.append((kind, connection))
        return connection


class Opened(SimpleNamespace):
    makes: Makes
    listener: Listener
    ports: dict[Kind, int]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    makes = Makes(per_address=2)
    listener = Listener(asyncio.get_running_loop(), makes, makes.admission)  # type: ignore[arg-type]
    sockets: dict[Kind, list[socket.socket]] = {kind: [bound()] for kind in KINDS}
    ports = {kind: each.getsockname()[1] for kind, (each,) in sockets.items()}
    await listener.open(sockets)
    yield Opened(makes=makes, listener=listener, ports=ports)
    listener.close()
    for _, connection in makes.made:
        connection.abort()


def bound() -> socket.socket:
    listening = socket.socket()
    listening.bind((HOST, 0))
    return listening


async def test_where_servers_are_accepted_is_not_to_be_dialled(opened: Opened) -> None:
    met = {kind: opened.makes.listening.at(HOST, port) for kind, port in opened.ports.items()}
    assert met == {"s2s": True, "s2s_direct_tls": True, "components": False, "inside": True}


async def test_each_kind_of_socket_makes_its_kind_of_stream(opened: Opened) -> None:
    hub = opened.makes.hub
    with closing(socket.socket()) as one, closing(socket.socket()) as other:
        one.connect((HOST, opened.ports["s2s_direct_tls"]))
        await hub.until(lambda: hub.names() == ["opened"])
        other.connect((HOST, opened.ports["components"]))
        await hub.until(lambda: hub.names() == ["opened"] * 2)
    opened.makes.admission.settled(1)
    with closing(socket.socket()) as third:
        third.connect((HOST, opened.ports["s2s"]))
        await hub.until(lambda: hub.names().count("opened") == 3)
        assert [kind for kind, _ in opened.makes.made] == ["s2s_direct_tls", "components", "s2s"]
        assert opened.makes.made[2][1].address == f"{HOST}:{third.getsockname()[1]}"
    with closing(socket.socket()) as behind:
        behind.connect((HOST, opened.ports["inside"]))
        await hub.until(lambda: hub.names().count("opened") == 4)
        assert opened.makes.made[3][0] == "inside"


@pytest.mark.clause("ERR-05")
async def test_one_stranger_too_many_is_dropped_before_a_word(opened: Opened) -> None:
    hub = opened.makes.hub
    ports = [opened.ports[kind] for kind in ("s2s", "s2s_direct_tls", "components")]
    peers = [await asyncio.open_connection(HOST, port) for port in ports]
    await hub.until(lambda: len(hub.names()) >= 3)
    assert hub.names() == ["opened", "opened", "lost"]
    with suppress(ConnectionResetError):
        assert await peers[2][0].read() == b""
    opened.makes.admission.settled(1)
    peers.append(await asyncio.open_connection(HOST, ports[0]))
    await hub.until(lambda: hub.names().count("opened") == 3)
    for _, writer in peers:
        writer.close()


async def test_a_closed_listener_takes_nobody_and_leaves_those_it_has(opened: Opened) -> None:
    hub = opened.makes.hub
    reader, writer = await asyncio.open_connection(HOST, opened.ports["s2s"])
    await hub.until(lambda: hub.names() == ["opened"])
    opened.listener.close()
    opened.listener.close()
    for port in opened.ports.values():
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
    writer.write(b"<?xml version='1.0'?><nonsense/>")
    assert b"invalid-namespace" in await reader.readuntil(b"</stream:stream>")
    writer.close()
