"""Peers that say nothing more: every phase has an end, inbound and outbound (RFC 6120 §13.12)."""

import asyncio

import pytest

from tests.conftest import StartNode
from tests.support.component import attached
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, at_rest
from tests.support.scripted_peer import (
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    EXTERNAL_FEATURE,
    PROCEED,
    STARTTLS,
    SUCCESS,
    Peer,
    auth,
    features,
    header,
    message,
)

ROMEO, JULIET = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}"
VIOLATION = "<stream:error><policy-violation "


@pytest.mark.clause("ERR-07", "TLS-07")
async def test_peers_that_fall_silent(start_node: StartNode, capulet: Peer) -> None:
    node = await start_node(limits={"handshake_timeout_s": 1.0})
    silent, plain, proceeding = [await capulet.dial(node.s2s_port) for _ in range(3)]
    direct = await capulet.dial(node.direct_tls_port)
    component = await capulet.dial(node.component_port)
    for wire in (plain, proceeding):
        await wire.send(capulet.header())
        await wire.until("</stream:features>")
    await proceeding.send(STARTTLS)
    await proceeding.until(PROCEED)
    secured, restarting = [await capulet.secured(node.s2s_port) for _ in range(2)]
    await restarting.send(auth(CAPULET))
    await restarting.until(SUCCESS)
    for wire in (silent, plain, secured, restarting, component):
        assert VIOLATION in await wire.ended()
    for wire in (proceeding, direct):
        await wire.ended()
    settled = await capulet.authenticated(node.s2s_port)
    await asyncio.sleep(1.2)
    await settled.send("</stream:stream>")
    assert "<stream:error>" not in await settled.ended()


@pytest.mark.clause("RTE-10", "DBK-21", "DBK-24")
@pytest.mark.parametrize(
    "phase", ["connect", "header", "STARTTLS", "TLS", "features", "SASL", "restart", "dialback"]
)
async def test_a_dial_that_gets_no_answer(
    start_node: StartNode, capulet: Peer, route_to_capulet: dict[str, tuple[str, int]], phase: str
) -> None:
    limits = {"handshake_timeout_s": 1.0, "verification_timeout_s": 1.0}
    node = await start_node(routes=route_to_capulet, limits=limits, acceptors=1, workers=1)
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        romeo.write(message(ROMEO, JULIET, "1"))
        if phase in ("SASL", "restart"):
            wire = await capulet.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
            if phase == "restart":
                await wire.until("</auth>")
                await wire.send(SUCCESS)
        elif phase == "dialback":
            wire = await capulet.greet(BIDI_FEATURE, DIALBACK_FEATURE)
        else:
            wire = await capulet.accepted()
            if phase in ("header", "STARTTLS", "TLS", "features"):
                await wire.send(header(CAPULET, MONTAGUE, id="i"))
            if phase in ("STARTTLS", "TLS"):
                await wire.send(features(STARTTLS))
                await wire.until(STARTTLS)
            if phase == "TLS":
                await wire.send(PROCEED)
        await romeo.until(lambda: bool(romeo.others), limit_s=4)
        assert romeo.others[0].attributes["id"] == "1"
        assert "remote-server-timeout" in romeo.others[0].inside
        await at_rest(node)
        assert capulet.unaccepted() == 0
