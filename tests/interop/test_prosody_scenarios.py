"""What a real Prosody does besides carrying stanzas; numbered as in the notes on peers."""

import asyncio
import re
from pathlib import Path

import pytest

from bench.authority import Authority
from bench.peers.daemon import free_port
from bench.peers.prosody import HOST
from bench.traffic import Record
from tests.support.component import Component, attached, settled
from tests.support.federation import Federate, greet, route
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, VERONA, at_rest, certificate
from tests.support.scripted_peer import message, scripted, stream_id

BURST = 1000


@pytest.mark.scenario(11, 49)
@pytest.mark.clause("BIDI-22", "RTE-05")
async def test_11_and_49_both_speak_first(federate: Federate) -> None:
    """A double dial costs a connection, no stanza and no order.

    Prosody 0.12 itself lets stanzas overtake those it has queued, between SASL success and the
    features after it; so its order is the one in which it wrote them.
    """
    both = await federate(Record(2 * BURST, 0), prosody={"log_level": "debug"})
    async with asyncio.TaskGroup() as group:
        for sender, target in ((both.romeo, both.juliet), (both.juliet, both.romeo)):
            group.create_task(sender.send_numbered([route(sender, target)], BURST, 0))
    for end in (both.romeo, both.juliet):
        await end.until(lambda: end.arrived == BURST)  # noqa: B023
    assert both.juliet.numbers == list(range(BURST))
    sent = re.findall(r"Sending\[s2s\w+\]: <message .*?id='n(\d+)'", both.server.log())
    assert both.romeo.numbers == [int(number) for number in sent]
    assert sorted(both.romeo.numbers) == list(range(BURST))
    assert both.connections() <= 2
    await at_rest(both.node)


@pytest.mark.scenario(4, 7)
@pytest.mark.clause("BIDI-09", "BIDI-14", "BIDI-21")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_4_and_7_a_second_hosted_domain_has_its_own_stream(
    federate: Federate, dialled_by: str
) -> None:
    """Neither piggybacking nor reverse dialback: both would end the first stream at Prosody."""
    both = await federate()
    await greet(*both.parties(dialled_by))
    async with attached(VERONA, SECRET, both.node.component_port, both.juliet.record) as benvolio:
        await greet(benvolio, both.juliet)
    await greet(both.romeo, both.juliet)
    assert both.connections() == 2
    assert all(bidi for _, _, bidi in await both.streams())
    assert "closed" not in both.server.log().split("complete", 1)[1]
    await at_rest(both.node)


@pytest.mark.scenario(4)
@pytest.mark.clause("DBK-27", "DBK-09")
async def test_4_two_hosted_domains_by_dialback(federate: Federate, tmp_path: Path) -> None:
    strangers = Authority.make(tmp_path).anchors
    both = await federate(
        prosody={"s2s_secure_auth": False, "trust_anchors": strangers}, trust_anchors=strangers
    )
    async with attached(VERONA, SECRET, both.node.component_port, both.juliet.record) as benvolio:
        async with asyncio.TaskGroup() as group:
            group.create_task(greet(both.romeo, both.juliet))
            group.create_task(benvolio.send_numbered([route(benvolio, both.juliet)], 1, 0))
        await both.juliet.until(lambda: both.juliet.arrived == 2)
        await greet(both.juliet, benvolio)
        await greet(both.juliet, both.romeo)
    await at_rest(both.node)


@pytest.mark.scenario(5)
@pytest.mark.clause("ERR-03", "RTE-10")
async def test_5_a_domain_that_prosody_does_not_serve(federate: Federate) -> None:
    """Only that pair fails."""
    port = free_port()
    routes = {domain: (HOST, port) for domain in (CAPULET, TYBALT)}
    both = await federate(prosody={"s2s_port": port}, routes=routes)
    await greet(both.romeo, both.juliet)
    got = await both.romeo.ask(
        message(f"romeo@{MONTAGUE}", f"a@{TYBALT}", "1"), lambda got: got.kind == "error"
    )
    assert "remote-server-not-found" in got.inside
    await greet(both.juliet, both.romeo)
    assert both.connections() == 1
    await at_rest(both.node)


@pytest.mark.scenario(12)
@pytest.mark.clause("DBK-12", "BIDI-11")
async def test_12_prosody_asks_about_a_key_on_our_bidi_stream(
    federate: Federate, issuer: Authority
) -> None:
    """Somebody claims our domain there: the node says what it thinks of that, on its own stream.

    Prosody 0.12 makes nothing of an answer there: it takes it for a question, and stays silent.
    """
    both = await federate(prosody={"s2s_secure_auth": False, "log_level": "debug"})
    await greet(both.romeo, both.juliet)
    file = certificate(issuer, TYBALT)
    async with scripted(MONTAGUE, CAPULET, file, presents_certificate=False) as impostor:
        wire = await impostor.secured(both.server.s2s_port)
        await wire.send(f"<db:result from='{MONTAGUE}' to='{CAPULET}'>not the key</db:result>")
        identity = f"id='{stream_id(wire.received)}'"

        async def is_answered() -> bool:
            lines = both.server.log().splitlines()
            answers = [line for line in lines if "Received[s2sin]: <verify " in line]
            return any(identity in line and "type='invalid'" in line for line in answers)

        await settled(is_answered)
    assert both.connections() == 1
    await greet(both.juliet, both.romeo)
    assert await both.streams() == [("out", "external", True)]
    await at_rest(both.node)


@pytest.mark.scenario(14)
@pytest.mark.clause("STR-16", "BIDI-23")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_14_a_stream_that_prosody_ends_is_replaced(
    federate: Federate, dialled_by: str
) -> None:
    """Prosody ends every stream when it stops; afterwards all is as before."""
    both = await federate()
    await greet(*both.parties(dialled_by))
    await both.server.stop()

    async def is_gone() -> bool:
        return await both.streams() == []

    await settled(is_gone)
    await both.server.start()
    async with attached(CAPULET, SECRET, both.server.component_port) as juliet:
        first, second = (both.romeo, juliet) if dialled_by == "node" else (juliet, both.romeo)
        await greet(first, second)
        assert both.connections() == 1
        await at_rest(both.node)


@pytest.mark.clause("RTE-08", "RTE-10", "RTE-11")
async def test_errors_cross_with_their_condition(federate: Federate) -> None:
    """Nobody at home on either side: the answer of the other server's component, not ours."""
    both = await federate()
    await greet(both.romeo, both.juliet)
    await both.romeo.close()
    got = await both.juliet.ask(
        f"<iq from='juliet@{CAPULET}' to='romeo@{MONTAGUE}' type='get' id='1'>"
        "<q xmlns='urn:q'/></iq>",
        lambda got: got.kind == "error",
    )
    assert (got.attributes["from"], got.attributes["to"]) == (
        f"romeo@{MONTAGUE}",
        f"juliet@{CAPULET}",
    )
    assert "remote-server-timeout" in got.inside
    await at_rest(both.node)


@pytest.mark.clause("STR-15", "STR-16", "ERR-04")
@pytest.mark.parametrize("dialled_by", ["node", "prosody"])
async def test_sigterm_under_load(federate: Federate, dialled_by: str) -> None:
    """What the component sent arrives; what Prosody sent arrives or comes back, and never both."""
    both = await federate(Record(0, 0))
    await greet(*both.parties(dialled_by))
    sent = {both.romeo: 1, both.juliet: 1}

    async def send(sender: Component, target: Component) -> None:
        sender.record.send(route(sender, target))
        while True:
            for _ in range(10):
                sender.write(message(*route(sender, target), f"n{sent[sender]}"))
                sent[sender] += 1
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        from_romeo = group.create_task(send(both.romeo, both.juliet))
        from_juliet = group.create_task(send(both.juliet, both.romeo))
        await both.romeo.until(lambda: both.romeo.arrived > 500)
        both.node.terminate()
        due = sent[both.juliet]
        await both.romeo.until_closing()
        from_romeo.cancel()
        await both.romeo.close()
        from_juliet.cancel()
    assert await both.node.ended() == 0
    assert both.juliet.numbers == list(range(sent[both.romeo]))
    assert both.romeo.numbers == list(range(both.romeo.arrived))

    def back() -> set[int]:
        errors = [got for got in both.juliet.others if got.kind == "error"]
        return {int(got.attributes["id"][1:]) for got in errors}

    await both.juliet.until(lambda: back() >= set(range(both.romeo.arrived, due)))
    assert not back() & set(both.romeo.numbers)
