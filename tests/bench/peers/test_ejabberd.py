"""Two real ejabberds federate through our fixture: what interop tests may then rely on."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.authority import Authority
from bench.peers.daemon import DaemonError, free_port
from bench.peers.ejabberd import HOST, NOWHERE, Ejabberd, zone
from tests.conftest import StartEjabberd
from tests.support.component import Component, attached
from tests.support.eventually import eventually
from tests.support.federation import greet
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT
from tests.support.scripted_peer import message

INTEROP = pytest.mark.interop
THERE = ("Outgoing", MONTAGUE, CAPULET)
BACK = ("Incoming", CAPULET, MONTAGUE)


class Pair(NamedTuple):
    """Two servers with a component on each."""

    here: Ejabberd
    there: Ejabberd
    romeo: Component
    juliet: Component


# What getaddrinfo says to each argument when it can open no socket to ask anybody.
LOOK_UP = """
import resource, socket, sys
socket.getaddrinfo("localhost", 0)  # it has read its settings now
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
for name in sys.argv[1:]:
    try:
        socket.getaddrinfo(name, 0)
    except OSError as error:
        print(error.errno)
"""

StartBoth = Callable[..., Awaitable[Pair]]


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Settings of a server whose certificates its peers can check, and which checks theirs."""
    authority = Authority.make(tmp_path_factory.mktemp("certificates"))
    for domain in (MONTAGUE, CAPULET):
        authority.issue(domain, eku="both")
    return {"certificates": authority.directory, "trust_anchors": authority.anchors}


@pytest.fixture
async def start_both(
    start_ejabberd: StartEjabberd, trusting: dict[str, Path]
) -> AsyncIterator[StartBoth]:
    """Start Romeo's and Juliet's server, each of which finds the other."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Pair:
            ports = {MONTAGUE: free_port(), CAPULET: free_port()}
            routes = {domain: (HOST, port) for domain, port in ports.items()}
            servers = [
                await start_ejabberd(
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
            ends = [
                await stack.enter_async_context(attached(domain, SECRET, server.component_port))
                for domain, server in zip(ports, servers, strict=True)
            ]
            return Pair(servers[0], servers[1], ends[0], ends[1])

        yield start


@INTEROP
async def test_certificates_prove_each_way_on_its_stream(start_both: StartBoth) -> None:
    both = await start_both(dialback=False)
    await greet(both.romeo, both.juliet)
    # Its log may lag behind what it does.
    await eventually(lambda: len(both.here.proofs()) == len(both.there.established()) == 2)
    assert sorted(both.here.proofs()) == [(*BACK, "external"), (*THERE, "external")]


@INTEROP
@pytest.mark.scenario(28)
async def test_certificates_for_servers_alone_prove_nothing(
    start_both: StartBoth, tmp_path: Path
) -> None:
    authority = Authority.make(tmp_path)
    for domain in (MONTAGUE, CAPULET):
        authority.issue(domain, eku="server")
    both = await start_both(certificates=tmp_path, trust_anchors=authority.anchors)
    await greet(both.romeo, both.juliet)
    await eventually(lambda: len(both.here.proofs()) == 2)
    assert {mechanism for *_, mechanism in both.here.proofs()} == {"dialback"}


@INTEROP
async def test_dialback_proves_what_certificates_do_not(
    start_both: StartBoth, tmp_path: Path
) -> None:
    both = await start_both(trust_anchors=Authority.make(tmp_path).anchors)
    await greet(both.romeo, both.juliet)
    await eventually(lambda: len(both.here.proofs()) == 2)
    assert sorted(both.here.proofs()) == [(*BACK, "dialback"), (*THERE, "dialback")]


@INTEROP
async def test_without_dialback_a_strangers_certificate_is_refused(
    start_both: StartBoth, tmp_path: Path
) -> None:
    both = await start_both(dialback=False, trust_anchors=Authority.make(tmp_path).anchors)
    got = await both.romeo.ask(
        message(f"a@{MONTAGUE}", f"b@{CAPULET}", "1"), lambda got: got.kind == "error"
    )
    assert "remote-server-timeout" in got.inside
    for server in (both.here, both.there):
        await server.stop()
    assert both.here.established() == both.there.established() == []


@INTEROP
async def test_a_domain_without_a_route_does_not_exist(start_both: StartBoth) -> None:
    both = await start_both()
    got = await both.romeo.ask(
        message(f"a@{MONTAGUE}", f"b@{TYBALT}", "1"), lambda got: got.kind == "error"
    )
    assert "remote-server-not-found" in got.inside


@INTEROP
async def test_a_port_taken_by_another_process_is_an_error(
    start_ejabberd: StartEjabberd, trusting: dict[str, Path]
) -> None:
    with socket.create_server((HOST, 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(DaemonError, match=f"Failed to open socket .*{port}"):
            await start_ejabberd(**trusting, s2s_port=port)


@INTEROP
async def test_it_starts_again_on_its_ports_and_is_gone_when_its_block_ends(
    trusting: dict[str, Path], tmp_path: Path
) -> None:
    server = Ejabberd(tmp_path, **trusting, components={MONTAGUE: SECRET})
    for _ in range(2):
        async with server, attached(MONTAGUE, SECRET, server.component_port):
            socket.create_connection((HOST, server.s2s_port)).close()
        with pytest.raises(ProcessLookupError):
            os.kill(server.pid, 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, server.s2s_port))


def test_a_route_is_an_srv_record_whose_target_is_the_address() -> None:
    records = zone({CAPULET: ("127.0.0.1", 5269)})
    assert records == {f"_xmpp-server._tcp.{CAPULET}": {"SRV": ["0 0 5269 127.0.0.1."]}}


def test_a_domain_without_a_route_is_refused_by_the_c_library_itself() -> None:
    """It needs no socket to refuse the target, and would for a name."""
    [record] = NOWHERE["SRV"]
    target = record.split()[-1].removesuffix(".")
    command = [sys.executable, "-c", LOOK_UP, target, "nowhere.example"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [int(each) for each in found.stdout.split()] == [socket.EAI_NONAME, errno.EMFILE]
