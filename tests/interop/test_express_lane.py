"""Express lanes past servers of another kind: each router a component of a real Prosody."""

import asyncio
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.causeway import HOST, Causeway
from bench.peers.daemon import free_port
from bench.traffic import Record, Route
from tests.conftest import StartNode, StartProsody
from tests.support.component import attached, faults, settled
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, at_rest

pytestmark = pytest.mark.interop

RELAYS = {MONTAGUE: f"relay.{MONTAGUE}", CAPULET: f"relay.{CAPULET}"}
OUTER = {MONTAGUE: f"server.{MONTAGUE}", CAPULET: f"server.{CAPULET}"}
MESSAGES = 10_000


def other(domain: str) -> str:
    return CAPULET if domain == MONTAGUE else MONTAGUE


async def inner(running: Causeway) -> list[dict[str, Any]]:
    return [row for row in await running.streams() if row["leg"] == "e2e"]


@pytest.mark.clause("CMP-01", "E2E-03", "JXS-06")
@pytest.mark.parametrize("transport", ["in-band", "socks5"])
async def test_two_routers_that_are_components_of_prosodys(
    start_prosody: StartProsody, start_node: StartNode, issuer: Authority, transport: str
) -> None:
    """All of the lane's traffic passes both Prosodys in band, or none of it over SOCKS5."""
    ports = {domain: free_port() for domain in RELAYS}
    record = Record(0, 0)
    nodes: list[Causeway] = []
    for name in (*RELAYS.values(), *OUTER.values()):
        issuer.issue(name)
    for domain in RELAYS:
        away = (HOST, ports[other(domain)])
        server = await start_prosody(
            certificates=issuer.directory,
            trust_anchors=issuer.anchors,
            hosts=[OUTER[domain]],
            components={RELAYS[domain]: SECRET},
            routes={OUTER[other(domain)]: away, RELAYS[other(domain)]: away},
            s2s_port=ports[domain],
            log_level="info",
        )
        e2e: dict[str, Any] = {
            "jid": RELAYS[domain],
            "server": f"{HOST}:{server.component_port}",
            "secret": SECRET,
            "socks5": [f"{HOST}:0"] if transport == "socks5" else [],
            "express": [{"peer": RELAYS[other(domain)], "pairs": [[domain, other(domain)]]}],
        }
        # Nobody listens there: the lane is the only way.
        routes = {other(domain): (HOST, free_port())}
        nodes.append(
            await start_node(components={domain: SECRET}, routes=routes, settings={"e2e": e2e})
        )

    async def is_up() -> bool:
        rows = [row for running in nodes for row in await inner(running)]
        return [row["state"] for row in rows] == ["open", "open"]

    await settled(is_up, 40)
    async with (
        attached(MONTAGUE, SECRET, nodes[0].component_port, record) as romeo,
        attached(CAPULET, SECRET, nodes[1].component_port, record) as juliet,
    ):
        async with asyncio.TaskGroup() as group:
            for sender, target in ((romeo, juliet), (juliet, romeo)):
                route = Route(f"a@{sender.domain}", f"b@{target.domain}")
                group.create_task(sender.send_numbered([route], MESSAGES, 0))
        for target in (romeo, juliet):
            await target.until(lambda: target.arrived == MESSAGES, 60)  # noqa: B023
        assert faults(record) == {}
        for running in nodes:
            (row,) = await inner(running)
            assert row["tls"] == "TLSv1.3"
            assert row["stanzas_in"] == row["stanzas_out"] == MESSAGES
            assert bool(row["address"]) is (transport == "socks5")
            await at_rest(running)
