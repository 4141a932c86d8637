"""Which addresses pass the filter, and the race of connections on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from router.acceptor.dialling.addresses import Listening, connect, permitted

PUBLIC = ["9.9.9.9", "2620:fe::fe", "64:ff9b::909:909", "2002:909:909::1"]
INNER = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "240.0.0.1",
    "::1",
    "fe80::1",
    "fe80::1%lo",
    "fc00::1",
    "fec0::1",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
]
NEVER = [
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:9.9.9.9",
    "no address",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_dialled(address: str) -> None:
    assert permitted(address, allow_private=False)


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_need_leave(address: str) -> None:
    assert not permitted(address, allow_private=False)
    assert permitted(address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_some_addresses_never_pass(address: str, allow_private: bool) -> None:
    assert not permitted(address, allow_private)


class Peer(asyncio.Protocol):
    """Counts how many of itself there are and remembers its transport."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


@asynccontextmanager
async def listening(*addresses: str, port: int = 0) -> AsyncIterator[int]:
    """Listeners at the addresses, all on one port, which it yields."""
    loop = asyncio.get_running_loop()
    servers = []
    for address in addresses:
        server = await loop.create_server(asyncio.Protocol, address, port)
        port = server.sockets[0].getsockname()[1]
        servers.append(server)
    try:
        yield port
    finally:
        for server in servers:
            server.close()


async def dial(addresses: list[str], port: int, stagger_s: float = 5.0) -> str:
    loop = asyncio.get_running_loop()
    transport, protocol = await connect(loop, addresses, port, Peer, stagger_s)
    assert protocol.transport is transport
    peer: str = transport.get_extra_info("peername")[0]
    transport.abort()
    return peer


@pytest.mark.clause("DNS-05")
async def test_a_dead_first_address_gives_way_at_once() -> None:
    async with listening("127.0.0.1") as port:
        assert await asyncio.wait_for(dial(["::1", "127.0.0.1"], port), 2) == "127.0.0.1"


@pytest.mark.clause("DNS-05")
async def test_the_families_take_turns_and_ipv6_leads() -> None:
    async with listening("127.0.0.2", "127.0.0.3") as port:
        assert await dial(["127.0.0.2", "127.0.0.3"], port) == "127.0.0.2"
        with pytest.raises(OSError, match=r"::1 .*127\.0\.0\.9 .*::1 .*127\.0\.0\.8 "):
            await dial(["::1", "::1", "127.0.0.9", "127.0.0.8"], port)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port at 127.0.0.4 whose queue is full: connecting neither succeeds nor fails."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.4", 0))
        listener.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.mark.clause("DNS-05")
async def test_a_silent_address_is_overtaken_after_the_stagger(deaf_port: int) -> None:
    Peer.made = 0
    async with listening("127.0.0.5", port=deaf_port) as port:
        loop = asyncio.get_running_loop()
        started = loop.time()
        found = await asyncio.wait_for(dial(["127.0.0.4", "127.0.0.5"], port, 0.1), 5)
        assert found == "127.0.0.5"
        assert round(loop.time() - started, 2) >= 0.1
        assert Peer.made == 1


async def test_giving_up_leaves_nothing_open(deaf_port: int) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await dial(["127.0.0.4"], deaf_port)
    assert asyncio.all_tasks() == {asyncio.current_task()}


class BothAtOnce:
    """Stands in for the loop: no attempt is connected before there are two."""

    def __init__(self) -> None:
        self.create_task = asyncio.get_running_loop().create_task
        self.sockets: list[socket.socket] = []
        self.all_here = asyncio.Event()

    async def sock_connect(self, connection: socket.socket, address: object) -> None:
        self.sockets.append(connection)
        if len(self.sockets) == 2:
            self.all_here.set()
        await self.all_here.wait()

    async def create_connection(
        self, factory: type[Peer], *, sock: socket.socket
    ) -> tuple[socket.socket, Peer]:
        return sock, factory()


async def test_a_loser_that_connected_too_is_closed() -> None:
    loop = BothAtOnce()
    won, _ = await connect(loop, ["192.0.2.1", "192.0.2.2"], 1, Peer, 0.0)  # type: ignore[arg-type]
    (lost,) = (each for each in loop.sockets if each is not won)
    assert lost.fileno() == -1
    assert won.fileno() != -1  # type: ignore[attr-defined]
    won.close()


async def test_the_reasons_of_all_are_told() -> None:
    async with listening("127.0.0.1") as port:
        pass
    with pytest.raises(OSError, match=r"127\.0\.0\.1 port \d+: .*; 127\.0\.0\.2 port \d+: "):
        await dial(["127.0.0.1", "127.0.0.2"], port)


async def test_no_address_is_an_error_too() -> None:
    with pytest.raises(OSError, match="no address"):
        await dial([], 5269)


@pytest.mark.parametrize(
    ("bound", "dialled", "is_ours"),
    [
        (("127.0.0.1", 5269), ("127.0.0.1", 5269), True),
        (("127.0.0.1", 5269), ("127.0.0.1", 5270), False),
        (("127.0.0.1", 5269), ("127.0.0.2", 5269), False),
        (("0.0.0.0", 5269), ("127.0.0.2", 5269), True),
        (("::", 5269), ("127.0.0.1", 5269), True),
        (("::", 5269), ("::1", 5269), True),
        (("::", 5269), ("::1", 5222), False),
        (("::", 5269), ("203.0.113.7", 5269), False),
        (("::", 5269), ("2001:db8::7", 5269), False),
    ],
)
def test_who_dials_us_would_meet_ourselves(
    bound: tuple[str, int], dialled: tuple[str, int], is_ours: bool
) -> None:
    listening = Listening()
    listening.add(*bound)
    assert listening.at(*dialled) == is_ours


def test_an_address_of_an_interface_is_ours_on_every_port_we_accept_on() -> None:
    listening = Listening()
    listening.add("::", 5269)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.7", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = probe.getsockname()[0]
    assert listening.at(own, 5269)
    assert not listening.at(own, 5270)
