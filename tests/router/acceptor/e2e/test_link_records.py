"""Real multicast DNS, on loopback: records go out, come back, and are taken back."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from router.acceptor.e2e.link_records import NOWHERE, LinkRecords, Place
from router.xmpp.link_local import SERVICE, Presence, service_name
from tests.support.acceptors import HOST, Changing

pytestmark = pytest.mark.thorough

TWIN, FORZA, NURSE = f"twin{os.getpid()}", f"forza{os.getpid()}", f"nurse{os.getpid()}@verona"
"""Others may be testing on the same loopback."""
RELAY, THEIRS = "relay.montague.example", "relay.capulet.example"


class Listening(Changing):
    """One on the link, and what it has heard."""

    def __init__(self) -> None:
        super().__init__()
        self.here: dict[str, Presence] = {}
        self.records = LinkRecords(HOST, self.came, self.went)

    def came(self, presence: Presence) -> None:
        self.here[presence.name] = presence
        self.changed()

    def went(self, name: str) -> None:
        del self.here[name]
        self.changed()


Start = Callable[[], Listening]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        def one() -> Listening:
            listening = Listening()
            stack.push_async_callback(listening.records.close)
            return listening

        yield one


@pytest.fixture
async def raw() -> AsyncIterator[AsyncZeroconf]:
    """Anybody on the link."""
    dns = AsyncZeroconf(interfaces=[HOST])
    yield dns
    await dns.async_close()


async def published(dns: AsyncZeroconf, name: str, address: str, text: bytes = b"\0") -> None:
    info = AsyncServiceInfo(
        SERVICE,
        service_name(name),
        port=5562,
        properties=text,
        server=f"{name.rpartition('@')[2]}.local.",
        parsed_addresses=[address],
    )
    await (await dns.async_register_service(info))


@pytest.mark.clause("LLP-01", "LLP-02", "LLP-03")
async def test_two_see_each_other_until_one_says_goodbye(start: Start) -> None:
    """Neither sees itself, and the one that comes second varies the name that both want."""
    here, there = start(), start()
    assert await here.records.announce(f"{TWIN}@pronto", RELAY, 5298) == f"{TWIN}@pronto"
    assert await there.records.announce(f"{TWIN}@pronto", THEIRS, 5299) == f"{TWIN}-1@pronto"
    here.records.browse()
    there.records.browse()
    await there.until(lambda: f"{TWIN}@pronto" in there.here)
    await here.until(lambda: f"{TWIN}-1@pronto" in here.here)
    assert there.here[f"{TWIN}@pronto"] == Presence(f"{TWIN}@pronto", (RELAY,))
    assert f"{TWIN}@pronto" not in here.here
    assert await there.records.place(f"{TWIN}@pronto") == Place((HOST,), 5298)
    here.records.leave()
    await there.until(lambda: f"{TWIN}@pronto" not in there.here)


@pytest.mark.clause("LLP-02")
async def test_a_machine_whose_name_another_has_is_called_otherwise(
    start: Start, raw: AsyncZeroconf
) -> None:
    await published(raw, f"juliet@{FORZA}", "127.0.0.9")
    name = await start().records.announce(f"romeo@{FORZA}", RELAY, 5298)
    assert name == f"romeo@{FORZA}-1"


@pytest.mark.clause("LLP-02")
async def test_an_empty_text_is_enough_and_addresses_have_to_be_of_the_link(
    start: Start, raw: AsyncZeroconf
) -> None:
    here = start()
    here.records.browse()
    await published(raw, NURSE, "198.51.100.7")
    await here.until(lambda: NURSE in here.here)
    assert here.here[NURSE] == Presence(NURSE)
    assert await here.records.place(NURSE) == Place((), 5562)
    assert await here.records.place("nobody@verona") == NOWHERE
