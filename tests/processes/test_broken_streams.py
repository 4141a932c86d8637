"""Streams that end, stall or never begin, under load: every stanza arrives or comes back."""

import asyncio
import re

import pytest

from tests.conftest import StartNode
from tests.support.component import Component, attached, settled
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, VERONA, at_rest
from tests.support.scripted_peer import (
    EXTERNAL_FEATURE,
    Peer,
    Wire,
    message,
)

pytestmark = pytest.mark.thorough

ROMEO, JULIET, BENVOLIO = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}", f"benvolio@{VERONA}"
RESET = "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
COUNT = 2000
FLOOD = 6000
HELD_BYTES = 1_000_000  # a stream pauses at twice this and goes on at this, roughly


def numbers(wire: Wire) -> list[int]:
    return [int(number) for number in re.findall(r"<message [^>]*id='n(\d+)'", wire.received)]


def bounced(romeo: Component) -> list[int]:
    return [int(got.attributes["id"][1:]) for got in romeo.others if got.kind == "error"]


@pytest.mark.clause("STR-16", "BIDI-23", "RTE-05")
async def test_streams_that_end_under_load(
    start_node: StartNode, capulet: Peer, route_to_capulet: dict[str, tuple[str, int]]
) -> None:
    """What the peer had not got goes on in order; what is in doubt comes back, nothing twice."""
    node = await start_node(routes=route_to_capulet)
    for end in ("in order", "by a reset", "by a stream error"):
        async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
            first = await capulet.authenticated(node.s2s_port)
            sending = asyncio.create_task(flow(romeo))
            await first.until(f"id='n{COUNT // 3}'")
            if end == "by a reset":
                first.abort()
            else:
                await first.send("" if end == "in order" else RESET)
                await first.closed_in_order()
            second = await capulet.greet(EXTERNAL_FEATURE)
            await capulet.admit(second)
            await sending
            await second.until(f"id='n{COUNT - 1}'")
            await at_rest(node)
            came, back = numbers(first) + numbers(second), bounced(romeo)
            assert came == sorted(set(came)), end
            assert set(came) | set(back) == set(range(COUNT)), end
            assert not (back and end == "in order")
            await second.closed_in_order()


async def flow(romeo: Component) -> None:
    """Messages, about 5,000 a second."""
    for number in range(COUNT):
        romeo.write(message(ROMEO, JULIET, f"n{number}"))
        if number % 10 == 9:
            await asyncio.sleep(0.002)


@pytest.mark.clause("ERR-06")
async def test_a_peer_that_stops_reading_stops_nobody_else(
    start_node: StartNode, capulet: Peer
) -> None:
    """Its own traffic is held within bounds, and all arrives once it reads again."""
    node = await start_node()
    async with (
        attached(MONTAGUE, SECRET, node.component_port) as romeo,
        attached(VERONA, SECRET, node.component_port) as benvolio,
    ):
        deaf = await capulet.authenticated(node.s2s_port)
        await deaf.until("</stream:features>")
        deaf.stop_reading()
        stanza = message(ROMEO, JULIET, "n{}").replace("hear me", "x" * 2000)

        async def flood() -> None:
            for number in range(FLOOD):
                await romeo.send(stanza.format(number))

        async def is_held() -> bool:
            return (await node.metrics())["causeway_queue_bytes", ()] > HELD_BYTES

        flooding = asyncio.create_task(flood())
        await settled(is_held)
        for number in range(50):
            benvolio.write(message(BENVOLIO, ROMEO, f"n{number}"))
        await romeo.until(lambda: romeo.arrived == 50)
        assert not flooding.done()
        held = (await node.metrics())["causeway_queue_bytes", ()]
        assert held < 4 * HELD_BYTES
        await deaf.until(f"id='n{FLOOD - 1}'")
        await flooding
        assert numbers(deaf) == list(range(FLOOD))
        await deaf.closed_in_order()
