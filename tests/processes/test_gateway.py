"""A node with servers behind it, scripted ones: what crosses, and who is refused on either side."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.causeway import Causeway
from tests.conftest import StartNode
from tests.support.component import settled
from tests.support.nodes import (
    CAPULET,
    IMPATIENT,
    MONTAGUE,
    SECRET,
    TYBALT,
    VERONA,
    at_rest,
    certificate,
)
from tests.support.scripted_peer import (
    BIDI,
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    HOST,
    Peer,
    Wire,
    header,
    message,
    scripted,
)

JULIET, VALENTINE = f"juliet@{CAPULET}", f"valentine@{VERONA}"
CLAIMS = "causeway_claims_refused_total"


@pytest.fixture
async def verona(issuer: Authority) -> AsyncIterator[Peer]:
    """The server behind the node, as CAPULET sees it and never does."""
    async with scripted(VERONA, CAPULET, certificate(issuer, VERONA)) as peer:
        yield peer


@pytest.fixture
async def tybalt(issuer: Authority) -> AsyncIterator[Peer]:
    """Another server behind the node."""
    async with scripted(TYBALT, CAPULET, certificate(issuer, TYBALT)) as peer:
        yield peer


@pytest.fixture
async def remote(issuer: Authority) -> AsyncIterator[Peer]:
    """A server outside, that wants VERONA."""
    async with scripted(CAPULET, VERONA, certificate(issuer, CAPULET)) as peer:
        yield peer


def behind(*servers: Peer, **inside: Any) -> dict[str, Any]:
    """Settings of a node with these servers behind it."""
    domains: Mapping[str, Any] = {
        peer.domain: {"attach": "server", "target": f"{HOST}:{peer.port}"} for peer in servers
    }
    settings = {
        "listen": {"inside": [f"{HOST}:0"]},
        "inside": inside,
        "domains": domains,
        "dns": {"resolvers": ["127.0.0.1:9"]},
    }
    return {"components": {MONTAGUE: SECRET}, "settings": settings, "acceptors": 1, "workers": 1}


async def claims(node: Causeway, leg: str, count: int) -> None:
    async def counted() -> bool:
        return (await node.metrics()).get((CLAIMS, (leg,)), 0) == count

    await settled(counted)


async def let_in(server: Peer, remote: str) -> Wire:
    """Take the stream that the node opens in the name of a remote domain, which dialback proves."""
    wire = await server.greet(DIALBACK_FEATURE, BIDI_FEATURE)
    assert f'from="{remote}" to="{server.domain}"' in wire.received
    await wire.until(BIDI.replace("'/>", "'"))
    await wire.until("</db:result>")
    await wire.send(f"<db:result from='{server.domain}' to='{remote}' type='valid'/>")
    return wire


async def test_what_crosses_and_comes_back(
    start_node: StartNode, remote: Peer, verona: Peer
) -> None:
    """Both ways on one stream of each side, octet by octet, and the legs are counted apart.

    The key that proves CAPULET inside is none outside.
    """
    node = await start_node(**behind(verona))
    outer = await remote.authenticated(node.s2s_port)
    there = message(JULIET, VALENTINE, "1")
    await outer.send(there)
    inner = await let_in(verona, CAPULET)
    await inner.until(there)
    back = message(VALENTINE, JULIET, "2")
    await inner.send(back)
    await outer.until(back)
    await at_rest(node)
    metrics = await node.metrics()
    for leg in ("s2s", "server"):
        for direction in ("in", "out"):
            assert metrics["causeway_stanzas_total", ("message", leg, direction)] == 1
    assert verona.unaccepted() == 0
    explained = await node.ask(f"/api/explain?local={VERONA}&remote={CAPULET}")
    for leg in (explained, explained["inside"]):
        assert (leg["outgoing"]["state"], leg["incoming"]["state"]) == ("up", "up")
    key = inner.received.rpartition("<db:result")[2].partition(">")[2].partition("<")[0]
    for wire, domains, verdict in (
        (await verona.secured(node.inside_port), (VERONA, CAPULET), "valid"),
        (await remote.secured(node.s2s_port), (CAPULET, VERONA), "invalid"),
    ):
        sender, target = domains
        await wire.send(f"<db:verify from='{sender}' to='{target}' id='secure'>{key}</db:verify>")
        await wire.until(f'type="{verdict}"')
        await wire.closed_in_order()
    await outer.closed_in_order()
    await inner.closed_in_order()


async def test_who_claims_what_it_cannot_be(
    start_node: StartNode, remote: Peer, verona: Peer, tybalt: Peer
) -> None:
    node = await start_node(**behind(verona, tybalt))
    async with AsyncExitStack() as stack:
        wires = []
        for domain, local, port, condition in (
            (VERONA, MONTAGUE, node.s2s_port, "improper-addressing"),  # hosted, from outside
            (CAPULET, VERONA, node.inside_port, "policy-violation"),  # a stranger, inside
            (MONTAGUE, VERONA, node.inside_port, "policy-violation"),  # a component's, inside
        ):
            wire = await remote.dial(port)
            wires.append(wire)
            await wire.send(header(domain, local))
            await wire.until(f"<{condition} ")
            stack.push_async_callback(wire.close)
        await claims(node, "s2s", 1)
        await claims(node, "server", 2)


async def test_a_server_cannot_be_its_neighbour(
    start_node: StartNode, verona: Peer, tybalt: Peer
) -> None:
    """Neither by its own certificate, nor by a key that VERONA's own server does not know."""
    node = await start_node(**behind(verona, tybalt))
    false = Peer(VERONA, CAPULET, tybalt._certificate, presents_certificate=True)
    wire = await false.secured(node.inside_port)
    assert "EXTERNAL" not in wire.received
    await wire.send(f"<db:result from='{VERONA}' to='{CAPULET}'>made up</db:result>")
    asked = await verona.greet(DIALBACK_FEATURE)
    await asked.until("</db:verify>")
    at = wire.received.replace('"', "'").rpartition(" id='")[2].partition("'")[0]
    await asked.send(f"<db:verify from='{VERONA}' to='{CAPULET}' id='{at}' type='invalid'/>")
    await wire.until('type="invalid"')
    await wire.send(message(VALENTINE, JULIET, "1"))
    await wire.ended()
    await claims(node, "server", 1)
    assert (await node.metrics())["causeway_stanzas_total", ("message", "server", "in")] == 0
    await wire.close()
    await asked.closed_in_order()


@pytest.mark.thorough
async def test_its_address_is_enough_where_the_operator_says_so(
    start_node: StartNode, verona: Peer
) -> None:
    node = await start_node(**behind(verona, trust_address=True, tls_required=False))
    plain = await verona.dial(node.inside_port)
    await plain.send(header(VERONA, MONTAGUE))
    await plain.until("</stream:features>")
    await plain.send(f"<db:result from='{VERONA}' to='{MONTAGUE}'>whatever</db:result>")
    await plain.until('type="valid"')
    assert verona.unaccepted() == 0
    await plain.closed_in_order()


@pytest.mark.thorough
async def test_what_waits_for_a_server_that_is_away(
    start_node: StartNode, remote: Peer, issuer: Authority
) -> None:
    """It waits while nobody listens at the target, and then no longer than it may."""
    async with scripted(VERONA, CAPULET, certificate(issuer, VERONA)) as gone:
        settings = behind(gone)
    settings["limits"] = {**IMPATIENT, "backlog_s": 1.5}
    node = await start_node(**settings)
    outer = await remote.authenticated(node.s2s_port)
    await outer.send(message(JULIET, VALENTINE, "1"))
    await outer.until("remote-server-timeout")
    metrics = await node.metrics()
    assert metrics["causeway_tcp_connections_total", ("out",)] == 0
    assert node.log().count('"s2s.dial_failed"') >= 2
    await at_rest(node)
    await outer.closed_in_order()
