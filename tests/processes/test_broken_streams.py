"""Streams that end, stall or never begin, under load: every stanza arrives or comes back."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from bench.traffic import Record
from tests.conftest import StartNode
from tests.support.component import Component, attached, settled
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, VERONA, at_rest
from tests.support.scripted_peer import (
    END,
    EXTERNAL_FEATURE,
    PROCEED,
    STARTTLS,
    Peer,
    Wire,
    header,
    features,
    message,
)

ROMEO, JULIET, BENVOLIO = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}", f"benvolio@{VERONA}"
COUNT = 3000


def numbers(wire: Wire) -> list[int]:
    return [int(number) for number in re.findall(r"<message [^>]*id='n(\d+)'", wire.received)]


def bounced(romeo: Component) -> list[int]:
    return [int(got.attributes["id"][1:]) for got in romeo.others if got.kind == "error"]


@pytest.mark.clause("STR-16", "BIDI-23", "RTE-05")
@pytest.mark.parametrize("ends", ["in order", "by a reset", "by a stream error"])
async def test_a_stream_that_ends_under_load(
    start_node: StartNode, capulet: Peer, route_to_capulet: dict[str, tuple[str, int]], ends: str
) -> None:
    """What the peer had not got goes on in order; what is in doubt comes back, nothing twice."""
    node = await start_node(routes=route_to_capulet)
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        first = await capulet.authenticated(node.s2s_port)

        async def send() -> None:
            for number in range(COUNT):
                romeo.write(message(ROMEO, JULIET, f"n{number}"))
                if number % 10 == 9:
                    await asyncio.sleep(0.002)

        sending = asyncio.create_task(send())
        await first.until(f"id='n{COUNT // 3}'")
        if ends == "in order":
            await first.closed_in_order()
        elif ends == "by a reset":
            first.abort()
        else:
            await first.send(
                "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
                + END
            )
            await first.ended()
        second = await capulet.greet(EXTERNAL_FEATURE)
        await capulet.admit(second)
        await sending
        await second.until(f"id='n{COUNT - 1}'")
        await at_rest(node)
        came = numbers(first) + numbers(second)
        back = bounced(romeo)
        print(
            len(numbers(first)),
            len(numbers(second)),
            len(back),
            numbers(first)[-3:],
            numbers(second)[:3],
            back[:3],
            back[-3:],
        )
        assert came == sorted(set(came))
        assert set(came) | set(back) == set(range(COUNT))
        if ends == "in order":
            assert back == []
        await second.closed_in_order()


async def test_a_peer_that_stops_reading_stops_nobody_else(
    start_node: StartNode, capulet: Peer, route_to_capulet: dict[str, tuple[str, int]]
) -> None:
    node = await start_node(routes=route_to_capulet)
    async with (
        attached(MONTAGUE, SECRET, node.component_port) as romeo,
        attached(VERONA, SECRET, node.component_port) as benvolio,
    ):
        deaf = await capulet.authenticated(node.s2s_port)
        await deaf.until("</stream:features>")
        deaf.stop_reading()
        body = "x" * 2000
        total = 10000

        async def flood() -> None:
            for number in range(total):
                romeo.write(
                    f"<message from='{ROMEO}' to='{JULIET}' id='n{number}'><body>{body}</body></message>"
                )
                if number % 10 == 9:
                    await romeo._writer.drain()

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(1.5)
        for number in range(50):
            before = romeo.arrived
            benvolio.write(message(BENVOLIO, ROMEO, f"n{number}"))
            t = asyncio.get_running_loop().time()
            await romeo.until(lambda: romeo.arrived > before)
        print("other", asyncio.get_running_loop().time() - t, flooding.done())
        await deaf.until(f"id='n{total - 1}'")
        await flooding
        print(len(numbers(deaf)), len(bounced(romeo)))
        await at_rest(node)
        assert set(numbers(deaf)) | set(bounced(romeo)) == set(range(total))
        await deaf.closed_in_order()
