"""Streams that stay: idle, expired, unread or away for a moment (RFC 6120 §4.6, §13.7.2.3)."""

import asyncio
import datetime
from pathlib import Path

import pytest

from bench.authority import Authority
from tests.conftest import StartNode
from tests.support.component import attached, settled
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, VERONA, at_rest
from tests.support.scripted_peer import Peer, message, scripted

pytestmark = pytest.mark.thorough

ROMEO, JULIET, BENVOLIO = f"romeo@{MONTAGUE}", f"juliet@{CAPULET}", f"benvolio@{VERONA}"
FLOOD = 12_000


@pytest.mark.clause("KAL-02")
async def test_idle_streams_are_asked_and_kept(start_node: StartNode, capulet: Peer) -> None:
    node = await start_node(limits={"idle_check_s": 0.2, "unanswered_check_s": 1.0})
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        juliet = await capulet.authenticated(node.s2s_port)
        await juliet.until("</stream:features>")
        await juliet.until("      ")
        await romeo.until(lambda: romeo.raw.endswith(b"   "))
        await juliet.send(message(JULIET, ROMEO, "n0"))
        await romeo.until(lambda: romeo.arrived == 1)
        romeo.write(message(ROMEO, JULIET, "n1"))
        await juliet.until("id='n1'")
        await juliet.closed_in_order()


@pytest.mark.clause("CRT-07")
async def test_a_certificate_that_ends_takes_its_stream_along(
    start_node: StartNode, issuer: Authority, tmp_path: Path
) -> None:
    node = await start_node()
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)
    certificate, _ = issuer.issue(CAPULET, into=tmp_path, not_after=end)
    async with scripted(CAPULET, MONTAGUE, certificate) as peer:
        wire = await peer.authenticated(node.s2s_port)
        await wire.until("</stream:features>")
        rest = await wire.ended()
    assert datetime.datetime.now(datetime.UTC) >= end
    assert "<stream:error><reset " in rest


@pytest.mark.clause("CMP-06")
async def test_a_component_that_comes_back_in_time_misses_nothing(
    start_node: StartNode, capulet: Peer
) -> None:
    node = await start_node(limits={"component_grace_s": 10.0})
    juliet = await capulet.authenticated(node.s2s_port)
    await juliet.send(message(JULIET, ROMEO, "n0"))
    for begin in (1, 101):
        async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
            await romeo.until(lambda begin=begin: romeo.arrived == min(begin, 100))
            numbers = romeo.numbers
        assert numbers == ([0] if begin == 1 else [*range(1, 101)])
        for number in range(begin, begin + 100):
            await juliet.send(message(JULIET, ROMEO, f"n{number}"))
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        await romeo.until(lambda: romeo.arrived == 100)
        assert romeo.numbers == [*range(101, 201)]
        await at_rest(node)
    await juliet.closed_in_order()


@pytest.mark.clause("CMP-06", "RTE-11")
async def test_a_component_that_does_not_come_back_is_given_up(
    start_node: StartNode, capulet: Peer
) -> None:
    node = await start_node(limits={"component_grace_s": 1.0})
    juliet = await capulet.authenticated(node.s2s_port)
    async with attached(MONTAGUE, SECRET, node.component_port):
        pass
    begun = asyncio.get_running_loop().time()
    await juliet.send("".join(message(JULIET, ROMEO, f"n{n}") for n in range(3)))
    for _ in range(3):
        assert "<remote-server-timeout " in await juliet.until("</message>")
    assert asyncio.get_running_loop().time() - begun > 0.5
    await juliet.closed_in_order()


@pytest.mark.clause("ERR-06")
async def test_a_peer_that_never_reads_again_is_left_and_others_flow(
    start_node: StartNode, capulet: Peer
) -> None:
    node = await start_node(limits={"unread_output_s": 1.0, "backlog_s": 1.0})
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

        flooding = asyncio.create_task(flood())
        for number in range(50):
            benvolio.write(message(BENVOLIO, ROMEO, f"n{number}"))
        await romeo.until(lambda: romeo.arrived == 50)

        async def is_left() -> bool:
            name = ("causeway_s2s_closed_total", ("in", "resource-constraint"))
            return (await node.metrics())[name] == 1

        await settled(is_left)
        await flooding
        await romeo.until(lambda: len(romeo.others) > 0)
        assert {got.kind for got in romeo.others} == {"error"}
        deaf.abort()
        await at_rest(node)
