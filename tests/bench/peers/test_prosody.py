"""Two real Prosodys federate through our fixture: what interop tests may then rely on."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP, ComponentXMPP, Message
from slixmpp.exceptions import IqError

from bench.authority import Authority
from bench.peers import prosody
from bench.peers.daemon import DaemonError, free_port
from bench.peers.prosody import Prosody
from tests.conftest import StartProsody

pytestmark = pytest.mark.interop

ROMEO = "bot.montague.example"
JULIET = "bot.capulet.example"
SECRET = "wherefore"
PATIENCE_S = 10
FORGETFUL = """
import signal

def told(*_):
    print("Received SIGTERM", flush=True)
    signal.signal(signal.SIGTERM, told_again)
    print("runner5602\\terror\\tEncountered error: attempt to call a nil value", flush=True)

def told_again(*_):
    print("Received SIGTERM", flush=True)
    exit()

signal.signal(signal.SIGTERM, told)
print("causeway_route: server started", flush=True)
while True:
    signal.pause()
"""


class Component(ComponentXMPP):
    """An attached XEP-0114 component that keeps the messages it gets."""

    def __init__(self, domain: str, server: Prosody) -> None:
        # Without fix_error_ns slixmpp reads every error's condition as feature-not-implemented.
        super().__init__(domain, SECRET, prosody.HOST, server.component_port, fix_error_ns=True)
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.register_plugin("xep_0199")
        self.add_event_handler("message", self.messages.put_nowait)

    async def next_body(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            message = await self.messages.get()
        return message["body"]

    async def ping(self, domain: str) -> None:
        """Return when the answer is there; raise `IqError` when it is an error."""
        plugin = self.plugin["xep_0199"]
        await plugin.send_ping(domain, ifrom=self.boundjid, timeout=PATIENCE_S)


Attach = Callable[[str, Prosody], Awaitable[Component]]
StartBoth = Callable[..., Awaitable[tuple[Prosody, Prosody]]]


@pytest.fixture
async def attach() -> AsyncIterator[Attach]:
    async with AsyncExitStack() as attached:

        async def attach_one(domain: str, server: Prosody) -> Component:
            component = Component(domain, server)
            component.connect()
            attached.push_async_callback(component.disconnect)
            await component.wait_until("session_start", PATIENCE_S)
            return component

        yield attach_one


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One issuer with a certificate for each of the two domains."""
    authority = Authority.make(tmp_path_factory.mktemp("certificates"))
    for domain in (ROMEO, JULIET):
        authority.issue(domain)
    return authority


@pytest.fixture
def trusting(authority: Authority) -> dict[str, Path]:
    """Settings of a server whose certificates its peers can check, and which checks theirs."""
    return {"certificates": authority.directory, "trust_anchors": authority.anchors}


@pytest.fixture
def start_both(start_prosody: StartProsody, trusting: dict[str, Path]) -> StartBoth:
    """Start Romeo's and Juliet's server, each with a static route to the other."""

    async def start(**settings: Any) -> tuple[Prosody, Prosody]:
        ports = {ROMEO: free_port(), JULIET: free_port()}
        routes = {domain: (prosody.HOST, port) for domain, port in ports.items()}
        both = [
            await start_prosody(
                **{
                    **trusting,
                    "components": {domain: SECRET},
                    "routes": routes,
                    "s2s_port": port,
                    **settings,
                }
            )
            for domain, port in ports.items()
        ]
        return both[0], both[1]

    return start


async def talk(romeo: Component, juliet: Component) -> None:
    """Romeo writes first, then Juliet answers, then each pings the other."""
    romeo.send_message(mto=JULIET, mfrom=ROMEO, mbody="by yonder moon")
    assert await juliet.next_body() == "by yonder moon"
    juliet.send_message(mto=ROMEO, mfrom=JULIET, mbody="swear not by the moon")
    assert await romeo.next_body() == "swear not by the moon"
    await romeo.ping(JULIET)
    await juliet.ping(ROMEO)


async def test_bidi_carries_both_ways_on_one_stream(start_both: StartBoth, attach: Attach) -> None:
    romeo, juliet = await start_both()
    await talk(await attach(ROMEO, romeo), await attach(JULIET, juliet))
    assert romeo.established() == [("Outgoing", ROMEO, JULIET)]
    assert juliet.established() == [("Incoming", ROMEO, JULIET)]
    assert romeo.proofs() == [("Outgoing", ROMEO, JULIET, "external")]
    assert juliet.proofs() == [("Incoming", ROMEO, JULIET, "external")]


async def test_without_bidi_each_way_has_a_stream(start_both: StartBoth, attach: Attach) -> None:
    romeo, juliet = await start_both(bidi=False)
    await talk(await attach(ROMEO, romeo), await attach(JULIET, juliet))
    assert sorted(romeo.established()) == [("Incoming", JULIET, ROMEO), ("Outgoing", ROMEO, JULIET)]
    assert "<bidi" not in romeo.log() + juliet.log()


async def test_dialback_proves_what_certificates_do_not(
    start_both: StartBoth, attach: Attach, tmp_path: Path
) -> None:
    strangers = Authority.make(tmp_path).anchors
    romeo, juliet = await start_both(s2s_secure_auth=False, trust_anchors=strangers)
    await talk(await attach(ROMEO, romeo), await attach(JULIET, juliet))
    assert "<result" in romeo.log()
    assert {how for *_, how in (*romeo.proofs(), *juliet.proofs())} == {"dialback"}


async def test_secure_auth_refuses_a_strangers_certificate(
    start_both: StartBoth, attach: Attach, tmp_path: Path
) -> None:
    strangers = Authority.make(tmp_path).anchors
    romeo_at, juliet_at = await start_both(trust_anchors=strangers)
    romeo = await attach(ROMEO, romeo_at)
    with pytest.raises(IqError):
        await romeo.ping(JULIET)
    assert romeo_at.established() == juliet_at.established() == []


async def test_a_domain_without_a_route_is_bounced_and_no_name_is_looked_up(
    start_prosody: StartProsody, trusting: dict[str, Path], attach: Attach
) -> None:
    server = await start_prosody(**trusting, components={ROMEO: SECRET})
    romeo = await attach(ROMEO, server)
    with pytest.raises(IqError) as refusal:
        await romeo.ping(JULIET)
    assert refusal.value.condition == "remote-server-not-found"
    assert "no static route" in refusal.value.text


async def test_a_registered_account_logs_in(
    start_prosody: StartProsody, trusting: dict[str, Path]
) -> None:
    server = await start_prosody(**trusting, hosts=["verona.example"])
    await server.register("nurse", "verona.example", "peter")
    plain_link = {"feature_mechanisms": {"unencrypted_scram": True}}
    client = ClientXMPP("nurse@verona.example", "peter", plugin_config=plain_link)
    client.enable_starttls = client.enable_direct_tls = False
    client.enable_plaintext = True
    client.connect(prosody.HOST, server.c2s_port)
    await client.wait_until("session_start", PATIENCE_S)
    assert client.boundjid.bare == "nurse@verona.example"
    await client.disconnect()


async def test_registering_on_a_host_that_is_not_there_says_so(
    start_prosody: StartProsody, trusting: dict[str, Path]
) -> None:
    server = await start_prosody(**trusting)
    with pytest.raises(DaemonError, match=r"nurse@verona\.example"):
        await server.register("nurse", "verona.example", "peter")


async def test_a_port_taken_by_another_process_is_an_error(
    start_prosody: StartProsody, trusting: dict[str, Path]
) -> None:
    with socket.create_server((prosody.HOST, 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(DaemonError, match=f"Failed to open server port {port}"):
            await start_prosody(**trusting, s2s_port=port)


async def test_the_server_is_gone_when_its_block_ends(
    trusting: dict[str, Path], tmp_path: Path
) -> None:
    async with Prosody(tmp_path, **trusting) as server:
        os.kill(server.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((prosody.HOST, server.s2s_port))
    assert "Shutdown complete" in server.log()


async def test_it_starts_again_on_the_same_ports_with_a_fresh_log(
    start_both: StartBoth, attach: Attach
) -> None:
    romeo_at, juliet_at = await start_both()
    romeo = await attach(ROMEO, romeo_at)
    await talk(romeo, await attach(JULIET, juliet_at))
    await juliet_at.stop()
    await juliet_at.start()
    assert juliet_at.established() == []
    await talk(romeo, await attach(JULIET, juliet_at))
    assert juliet_at.established() == [("Incoming", ROMEO, JULIET)]


async def test_one_that_forgot_to_end_is_told_again(
    trusting: dict[str, Path], tmp_path: Path
) -> None:
    """COMPAT Prosody 0.12.3."""
    server = Prosody(tmp_path, **trusting)
    server.ports = ()
    server.command = (sys.executable, "-c", FORGETFUL)
    async with server:
        pass
    assert server.log().count("Received SIGTERM") == 2
