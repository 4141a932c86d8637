"""More pairs at once than a server takes connections of one address that have proved nothing."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bench.authority import Authority
from bench.peers.causeway import HOST
from bench.peers.daemon import free_port
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import attached, faults
from tests.support.nodes import SECRET, at_rest

pytestmark = pytest.mark.thorough

PAIRS = 100
ROOM = 30  # less than the default, so that fewer pairs than on a busy day are too many


@pytest.mark.clause("RTE-05")
@pytest.mark.parametrize("mechanism", ["external", "dialback"])
async def test_every_first_message_arrives(
    start_node: StartNode, tmp_path: Path, mechanism: str
) -> None:
    """Without bidi nothing is shared: each pair has a connection of its own, and all begin now."""
    authority = Authority.make(tmp_path / "authority")
    trusted = authority if mechanism == "external" else Authority.make(tmp_path / "stranger")
    ours, theirs = (
        [f"d{n}.{parent}" for n in range(PAIRS)] for parent in ("montague.lit", "capulet.lit")
    )
    ports = [free_port(), free_port()]
    record = Record(0, 0)
    async with AsyncExitStack() as stack:
        nodes, ends = [], []
        for side, (domains, remotes) in enumerate(((ours, theirs), (theirs, ours))):
            certificates = tmp_path / str(side)
            parent = domains[0].partition(".")[2]
            authority.issue(parent, into=certificates, dns=(f"*.{parent}",))
            node = await start_node(
                certificates=certificates,
                trust_anchors=trusted.anchors,
                components=dict.fromkeys(domains, SECRET),
                routes=dict.fromkeys(remotes, (HOST, ports[1 - side])),
                s2s_port=ports[side],
                bidi=False,
                limits={"unauthenticated_per_address": ROOM},
                acceptors=1,
            )
            nodes.append(node)
            ends.append(
                [
                    await stack.enter_async_context(
                        attached(domain, SECRET, node.component_port, record)
                    )
                    for domain in domains
                ]
            )
        async with asyncio.TaskGroup() as group:
            for sender, receiver in zip(*ends, strict=True):
                route = Route(f"a@{sender.domain}", f"b@{receiver.domain}")
                group.create_task(sender.send_numbered([route], 1, 0))
        for end in ends[1]:
            await end.until(lambda: end.arrived >= 1)  # noqa: B023
        assert faults(record) == {}
        rows = [row for row in await nodes[0].streams() if row["leg"] == "s2s"]
        assert [row["auth"] for row in rows if row["direction"] == "out"] == [mechanism] * PAIRS
        await at_rest(nodes[0])
