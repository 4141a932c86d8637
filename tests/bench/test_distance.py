"""Who makes the round trip: the relays, or the kernel for exactly the packets of the relays' ports.

The kernel's part runs in a network namespace, in a process of its own, which stays in there.
"""

import os
import subprocess
import sys

import pytest

from bench.delay import Relay
from bench.distance import ByRelay, why_no_netem

IN_A_NAMESPACE = """
import asyncio, json, subprocess
from bench.delay import HOST, Relay
from bench.distance import ByKernel, enter_namespace

def queued():
    said = subprocess.run(["tc", "-s", "-j", "qdisc", "show", "dev", "lo"],
                          capture_output=True, text=True, check=True).stdout
    (leaf,) = [each for each in json.loads(said) if each["kind"] == "pfifo"]
    return leaf["packets"]

async def serve(reader, writer):
    writer.write(await reader.readexactly(30_000))
    writer.close()

async def exchange(port):
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"x" * 30_000)
    assert len(await reader.readexactly(30_000)) == 30_000
    return writer

async def main():
    enter_namespace()
    server = await asyncio.start_server(serve, HOST, 0)
    place = (HOST, server.sockets[0].getsockname()[1])
    async with Relay(0, place) as relay:
        ByKernel(("pfifo", "limit", "1000")).lengthen([relay], 0.1)
        assert relay.rtt_s == 0
        (await exchange(place[1])).close()
        assert queued() == 0, "what does not pass a relay is held back"
        writer = await exchange(relay.port)
        packets = relay.counts().wire.packets
        assert packets >= 2 + 2 * 21
        # The closing packets are all that TCP_INFO has not seen when the socket goes.
        assert packets <= queued() <= packets + 4, (packets, queued())
        ByKernel(("pfifo", "limit", "1000")).lengthen([relay], 0.2)
        assert queued() == 0, "the queues are new"
        writer.close()
    server.close()

asyncio.run(main())
"""


def test_the_relays_are_told() -> None:
    relays = [Relay(), Relay()]
    ByRelay().lengthen(relays, 0.05)
    assert [relay.rtt_s for relay in relays] == [0.05, 0.05]


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_the_kernel_holds_back_the_packets_of_the_relays_alone() -> None:
    run = subprocess.run(
        [sys.executable, "-c", IN_A_NAMESPACE], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        ("Error: Specified qdisc kind is unknown.\n", "no netem in this kernel"),
        (
            "unshare: unshare failed: Operation not permitted\n",
            "unshare: unshare failed: Operation",
        ),
    ],
)
def test_why_the_kernel_cannot(
    monkeypatch: pytest.MonkeyPatch, complaint: str, reason: str
) -> None:
    def tried(command: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["unshare", "--net"]
        return subprocess.CompletedProcess(command, 2, "", complaint)

    monkeypatch.setattr(subprocess, "run", tried)
    assert why_no_netem().startswith(reason)


def test_where_there_are_no_such_tools_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "unshare" in why_no_netem()
