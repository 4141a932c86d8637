"""Two hosted domains and two of a real server's: all four pairs, each way, on what it takes."""

import asyncio
from itertools import product
from pathlib import Path

import pytest

from bench.authority import Authority
from bench.peers.ejabberd import Ejabberd
from bench.peers.prosody import Prosody
from bench.traffic import Record
from tests.support.component import Component, attached, faults, settled
from tests.support.eventually import eventually
from tests.support.federation import Federate, greet, route
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, VERONA, at_rest

MESSAGES = 200
PINGS = 10


async def exchange(record: Record, ours: list[Component], theirs: list[Component]) -> None:
    """The load on every pair, both ways at once, until all has arrived and is answered."""
    due = {end: end.arrived + MESSAGES * len(ours) for end in (*ours, *theirs)}
    record.pings_planned += 2 * PINGS * len(ours) * len(theirs)
    async with asyncio.TaskGroup() as group:
        for one, other in product(ours, theirs):
            for sender, target in ((one, other), (other, one)):
                group.create_task(sender.send_numbered([route(sender, target, 1)], MESSAGES, PINGS))

    async def is_complete() -> bool:
        has_come = all(end.arrived == due[end] for end in due)
        return has_come and record.pings_answered == record.pings_sent == record.pings_planned

    await settled(is_complete)


def proved(server: Prosody | Ejabberd) -> set[tuple[str, str]]:
    """(our domain, its domain) of every stream that the server has authenticated."""
    return {(a, b) if way == "Incoming" else (b, a) for way, a, b in server.established()}


@pytest.mark.scenario(4, 47, 51)
@pytest.mark.clause("RTE-02", "RTE-05", "DBK-27", "BIDI-09", "BIDI-21")
@pytest.mark.parametrize("first", ["node", "other"])
@pytest.mark.parametrize("mechanism", ["external", "dialback"])
@pytest.mark.parametrize("kind", ["prosody", "ejabberd"])
async def test_four_pairs(
    federate: Federate,
    federate_ejabberd: Federate,
    tmp_path: Path,
    kind: str,
    mechanism: str,
    first: str,
) -> None:
    """At most one connection for each pair and way; by EXTERNAL and bidi one for each pair."""
    server = {"components": {CAPULET: SECRET, TYBALT: SECRET}}
    trust = {}
    if mechanism == "dialback":
        trust = {"trust_anchors": Authority.make(tmp_path).anchors}
        server |= trust | ({"s2s_secure_auth": False} if kind == "prosody" else {})
    record = Record(8 * (MESSAGES + 1), 0)
    if kind == "prosody":
        both = await federate(record, prosody=server, **trust)
    else:
        both = await federate_ejabberd(record, ejabberd=server, **trust)
    async with (
        attached(VERONA, SECRET, both.node.component_port, record) as benvolio,
        attached(TYBALT, SECRET, both.server.component_port, record) as tybalt,
    ):
        ours, theirs = [both.romeo, benvolio], [both.juliet, tybalt]
        for one, other in product(ours, theirs):
            await greet(*((one, other) if first == "node" else (other, one)))
        await exchange(record, ours, theirs)
        assert faults(record) == {}
        pairs = {(a, b) for a in (MONTAGUE, VERONA) for b in (CAPULET, TYBALT)}
        await eventually(lambda: proved(both.server) >= pairs)  # ejabberd's log may lag behind
        assert proved(both.server) == pairs
        assert {auth for _, auth, _ in await both.streams()} == {mechanism}
        assert both.connections() <= (4 if (kind, mechanism) == ("prosody", "external") else 8)
        await at_rest(both.node)
