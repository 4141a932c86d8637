"""SIGTERM: every stream is closed in order, nothing accepted is lost, and the exit code is 0."""

import asyncio
from collections.abc import Callable

import pytest

from bench.authority import Authority
from bench.traffic import Record, Route
from tests.conftest import StartNode
from tests.support.component import attached, faults
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, certificate
from tests.support.scripted_peer import (
    BIDI,
    BIDI_FEATURE,
    END,
    EXTERNAL_FEATURE,
    HOST,
    PROCEED,
    STARTTLS,
    SUCCESS,
    Peer,
    Wire,
    auth,
    features,
    header,
    message,
    scripted,
)

ROMEO, JULIET = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}"
Routes = dict[str, tuple[str, int]]


async def take_all(wire: Wire, record: Record) -> None:
    """Close a stream that the node has closed; take all the messages that came on it."""
    await wire.send(END)
    await wire.ended()
    for piece in wire.received.split("id='n")[1:]:
        record.arrive(Route(ROMEO, JULIET), int(piece.partition("'")[0]))


async def sending(send: Callable[[str], None], route: Route, record: Record) -> None:
    """Numbered messages, about 3,000 a second, until cancelled."""
    while True:
        for _ in range(15):
            send(message(route.sender, route.target, f"n{record.send(route)}"))
        await asyncio.sleep(0.005)


@pytest.mark.clause("STR-15", "ERR-04")
async def test_streams_close_in_order_and_without_error(
    start_node: StartNode, capulet: Peer, route_to_capulet: Routes
) -> None:
    node = await start_node(routes=route_to_capulet)
    theirs = await capulet.authenticated(node.s2s_port, bidi=False)
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        romeo.write(message(ROMEO, JULIET, 1))
        ours = await capulet.greet(EXTERNAL_FEATURE)
        await capulet.admit(ours)
        await ours.until("</message>")
        ending = asyncio.create_task(node.stop())
        for wire in (theirs, ours):
            await wire.until(END)
            await wire.send(END)
            assert await wire.ended() == ""
            assert "<stream:error>" not in wire.received
        await romeo.gone()
        assert romeo.raw.endswith(b"</stream:stream>")
        assert b"<stream:error>" not in romeo.raw
        assert await ending == 0


@pytest.mark.clause("STR-15", "STR-16")
async def test_under_load_all_that_was_accepted_arrives(
    start_node: StartNode, capulet: Peer, route_to_capulet: Routes
) -> None:
    node = await start_node(routes=route_to_capulet)
    record = Record(0, 0)
    there, back = Route(JULIET, ROMEO), Route(ROMEO, JULIET)
    async with attached(MONTAGUE, SECRET, node.component_port, record) as romeo:
        bidi = await capulet.authenticated(node.s2s_port)
        romeo_sends = asyncio.create_task(sending(romeo.write, back, record))
        juliet_sends = asyncio.create_task(sending(bidi.write, there, record))
        await romeo.until(lambda: romeo.arrived > 500)
        await bidi.until("</message>")
        node.terminate()

        async def take_the_rest() -> None:
            wire = await capulet.greet(EXTERNAL_FEATURE)
            await capulet.admit(wire)
            await wire.until(END)
            await take_all(wire, record)

        rest = asyncio.create_task(take_the_rest())
        await bidi.until(END)
        juliet_sends.cancel()
        await take_all(bidi, record)
        await romeo.until_closing()
        romeo_sends.cancel()
        await romeo.close()
        await rest
        assert await node.ended() == 0
    assert record.send(there) > 500
    assert record.send(back) > 500
    assert faults(record) == {"lost": 2}, record.findings()  # the two numbers just drawn


@pytest.mark.clause("STR-15", "STR-16")
async def test_what_a_peer_still_writes_on_a_bidi_stream_of_ours_reaches_its_component(
    start_node: StartNode, capulet: Peer, route_to_capulet: Routes
) -> None:
    """It may write until it has closed the stream as well; the component stays for so long."""
    node = await start_node(routes=route_to_capulet)
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        romeo.write(message(ROMEO, JULIET, "n0"))
        ours = await capulet.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
        await ours.until(BIDI)
        await capulet.admit(ours)
        await ours.until("</message>")
        node.terminate()
        await ours.until(END)
        for number in range(3):
            await ours.send(message(JULIET, ROMEO, f"n{number}"))
            await romeo.until(lambda number=number: romeo.arrived == number + 1)
        await ours.send(END)
        assert await ours.ended() == ""
        await romeo.gone()
        assert b"<stream:error>" not in romeo.raw
        assert await node.ended() == 0


async def test_peers_in_the_middle_of_their_handshakes(
    start_node: StartNode, capulet: Peer
) -> None:
    node = await start_node()
    silent, plain, proceeding = [await capulet.dial(node.s2s_port) for _ in range(3)]
    for wire in (plain, proceeding):
        await wire.send(capulet.header())
        await wire.until("</stream:features>")
    await proceeding.send(STARTTLS)
    await proceeding.until(PROCEED)
    secured, restarting = [await capulet.secured(node.s2s_port) for _ in range(2)]
    await restarting.send(auth(CAPULET))
    await restarting.until(SUCCESS)
    node.terminate()
    for wire, late in ((plain, STARTTLS), (secured, auth(CAPULET))):
        await wire.until(END)
        await wire.send(late + END)
    for wire in (silent, plain, proceeding, secured, restarting):
        assert await wire.ended() == ""
    assert await node.ended() == 0


async def test_dials_in_the_middle_of_their_handshakes(
    start_node: StartNode, issuer: Authority
) -> None:
    """Keys that no certificate proves make the node dial; no stanza waits for these dials."""
    file = certificate(issuer, CAPULET)
    async with scripted(CAPULET, MONTAGUE, file, presents_certificate=False) as peer:
        remotes = [
            f"{name}.example" for name in ("paris", "laurence", "peter", "nurse", "balthasar")
        ]
        node = await start_node(routes=dict.fromkeys(remotes, (HOST, peer.port)))
        theirs = await peer.secured(node.s2s_port)
        for remote in remotes:
            await theirs.send(f"<db:result from='{remote}' to='{MONTAGUE}'>key</db:result>")
        silent, plain, proceeding = [await peer.accepted() for _ in range(3)]
        for wire in (silent, plain, proceeding):
            await wire.until("<stream:stream")
        to_plain = header(CAPULET, MONTAGUE, id="plain") + features(STARTTLS)
        for wire in (plain, proceeding):
            await wire.send(to_plain)
            await wire.until(STARTTLS)
        await proceeding.send(PROCEED)
        secured, restarting = [await peer.greet(EXTERNAL_FEATURE) for _ in range(2)]
        for wire in (secured, restarting):
            await wire.until("</auth>")
        await restarting.send(SUCCESS)
        await restarting.until("<stream:stream")

        node.terminate()
        await theirs.until(END)
        await theirs.send(END)
        to_restarted = header(CAPULET, MONTAGUE, id="open") + features()
        for wire, late in (
            (silent, to_plain),
            (plain, PROCEED),
            (secured, SUCCESS),
            (restarting, to_restarted),
        ):
            await wire.until(END)
            await wire.send(late + END)
        for wire in (silent, plain, proceeding, secured, restarting):
            await wire.ended()
        assert await node.ended() == 0
