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
    HOST,
    PROCEED,
    STARTTLS,
    SUCCESS,
    Peer,
    auth,
    features,
    header,
    message,
)

pytestmark = pytest.mark.thorough

ROMEO = f"romeo@{MONTAGUE}"
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
async def test_dials_that_get_no_answer(start_node: StartNode, capulet: Peer) -> None:
    """One remote domain for each phase in which the answers may end; all are the same peer here."""
    remotes = [f"remote{number}.example" for number in range(8)]
    node = await start_node(
        routes=dict.fromkeys(remotes, (HOST, capulet.port)),
        limits={"handshake_timeout_s": 2.0, "verification_timeout_s": 1.0},
    )
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        for remote in remotes:
            romeo.write(message(ROMEO, f"juliet@{remote}", remote))
        _, headed, plain, proceeding = [await capulet.accepted() for _ in range(4)]
        for wire in (headed, plain, proceeding):
            await wire.until("<stream:stream")
            await wire.send(header(CAPULET, MONTAGUE, id="i"))
        for wire in (plain, proceeding):
            await wire.send(features(STARTTLS))
            await wire.until(STARTTLS)
        await proceeding.send(PROCEED)
        await capulet.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
        restarting = await capulet.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
        await restarting.until("</auth>")
        await restarting.send(SUCCESS)
        keyed = await capulet.greet(BIDI_FEATURE, DIALBACK_FEATURE)
        await keyed.until("</db:result>")
        without_features = await capulet.accepted()
        await without_features.until("<stream:stream")
        await without_features.send(header(CAPULET, MONTAGUE, id="i", version=None))
        await romeo.until(lambda: len(romeo.others) == len(remotes))
        assert sorted(got.attributes["id"] for got in romeo.others) == remotes
        assert all("remote-server-timeout" in got.inside for got in romeo.others)
        await at_rest(node)
        assert capulet.unaccepted() == 0
