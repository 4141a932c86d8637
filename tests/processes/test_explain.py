"""What an operator is told of a link by a real node, and what the node remembers of its peers."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import pytest

from bench.authority import Authority
from bench.peers.causeway import Causeway
from router.cli import admin
from tests.conftest import StartNode
from tests.support.component import attached, settled
from tests.support.nodes import CAPULET, MONTAGUE, SECRET, TYBALT, certificate, logged
from tests.support.scripted_peer import (
    DIALBACK_FEATURE,
    HOST,
    PROCEED,
    STARTTLS,
    Peer,
    Wire,
    features,
    header,
    message,
    scripted,
    stream_id,
)

pytestmark = pytest.mark.thorough

ROMEO = f"romeo@{MONTAGUE}"
NO_RESOLVER = {"dns": {"resolvers": [f"{HOST}:9"], "timeout_s": 0.2}}


async def causeway(node: Causeway, *words: str) -> str:
    """What the command prints about this node."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", *words, "--config", str(node.config_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def explained(node: Causeway, remote: str) -> dict[str, Any]:
    answer: dict[str, Any] = await node.ask(f"/api/explain?local={MONTAGUE}&remote={remote}")
    return answer


async def until_outgoing(node: Causeway, remote: str, state: str) -> dict[str, Any]:
    async def is_so() -> bool:
        return bool((await explained(node, remote))["outgoing"]["state"] == state)

    await settled(is_so)
    return await explained(node, remote)


async def test_a_link_that_is_up(start_node: StartNode, capulet: Peer) -> None:
    node = await start_node()
    wire = await capulet.authenticated(node.s2s_port)
    answer = await until_outgoing(node, CAPULET, "up")
    assert answer["incoming"]["state"] == "up"
    (stream,) = answer["streams"]
    assert (stream["sends"], stream["receives"]) == ("external", "external")
    assert stream["certificate_valid"]
    assert [(row["fact"], row["value"]) for row in answer["peer"]] == [("proof", "external")]
    happened = [note["what"] for note in answer["history"]]
    assert happened == ["tls", "certificate", "authorised", "authorised"]
    first, second, *_ = (await causeway(node, "explain", MONTAGUE, CAPULET)).splitlines()
    assert first.startswith(f"Up: {MONTAGUE} reaches {CAPULET} on stream a")
    assert "which they opened" in first
    assert second.startswith(f"Up: {CAPULET} sends on stream a")
    listed = await causeway(node, "pairs", "--json")
    assert [(row["local"], row["remote"]) for row in json.loads(listed)] == [(MONTAGUE, CAPULET)]
    await wire.closed_in_order()
    assert (await until_outgoing(node, CAPULET, "closed"))["streams"] == []


async def test_a_certificate_for_another_name(start_node: StartNode, issuer: Authority) -> None:
    async with scripted(TYBALT, MONTAGUE, certificate(issuer, CAPULET)) as tybalt:
        peers = {TYBALT: {"target": f"{HOST}:{tybalt.port}", "require": "certificate"}}
        node = await start_node(settings={"peers": peers})
        async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
            romeo.write(message(ROMEO, f"nurse@{TYBALT}", 1))
            wire = await tybalt.accepted()
            await wire.until("<stream:stream")
            await wire.until(">")
            await wire.send(header(TYBALT, MONTAGUE, id="plain") + features(STARTTLS))
            assert (await explained(node, TYBALT))["outgoing"]["state"] == "dialling"
            await wire.until(STARTTLS)
            await wire.send(PROCEED)
            await wire.start_tls(tybalt.server_context())
            await wire.ended()
            answer = await until_outgoing(node, TYBALT, "down")
            assert answer["outgoing"]["side"] == "theirs"
            assert "certificate is for capulet.example" in answer["outgoing"]["sentence"]
            printed = await causeway(node, "explain", MONTAGUE, TYBALT)
            assert "Their certificate does not prove their domain." in printed.splitlines()[1]
            (verdict,) = [note for note in answer["history"] if note["what"] == "certificate"]
            assert verdict["valid"] is False


async def test_a_domain_that_does_not_resolve(start_node: StartNode) -> None:
    node = await start_node(settings=NO_RESOLVER)
    async with attached(MONTAGUE, SECRET, node.component_port) as romeo:
        assert (await explained(node, CAPULET))["outgoing"]["state"] == "never tried"
        romeo.write(message(ROMEO, f"juliet@{CAPULET}", 1))
        answer = await until_outgoing(node, CAPULET, "down")
        assert answer["outgoing"]["side"] == "between"
        assert "The DNS gives no answer" in answer["outgoing"]["advice"]
        assert [note["what"] for note in answer["history"]] == ["dns", "dial_failed"]


async def test_close_is_an_orderly_close(start_node: StartNode, capulet: Peer) -> None:
    node = await start_node()
    wire = await capulet.authenticated(node.s2s_port)
    await until_outgoing(node, CAPULET, "up")
    assert "closing stream a" in await causeway(node, "close", MONTAGUE, CAPULET)
    await wire.until("</stream:stream>")
    await wire.closed_in_order()
    answer = await until_outgoing(node, CAPULET, "closed")
    assert any(note.get("by_operator") for note in answer["history"])
    assert "no stream carries" in await causeway(node, "close", MONTAGUE, CAPULET)


async def test_bad_domains_are_refused_in_words(start_node: StartNode) -> None:
    node = await start_node()
    path = f"/api/explain?local={MONTAGUE}&remote=a%20b"
    status, body = await asyncio.to_thread(admin.get, node.run_dir, path)
    assert (status, b"remote 'a b': not a domain name" in body) == (400, True)


@pytest.mark.clause("DBK-15")
async def test_who_came_with_a_certificate_and_comes_without_is_an_alarm(
    start_node: StartNode,
    capulet: Peer,
    issuer: Authority,
    route_to_capulet: dict[str, tuple[str, int]],
) -> None:
    """Also when the acceptor that saw the certificate is dead, and then once for each change."""
    node = await start_node(routes=route_to_capulet, killed=2)
    await (await capulet.authenticated(node.s2s_port)).closed_in_order()
    await until_outgoing(node, CAPULET, "closed")
    acceptors = {name: pid for name, pid in node.children().items() if name.startswith("a")}
    for pid in acceptors.values():
        os.kill(pid, signal.SIGKILL)

    async def is_replaced() -> bool:
        status, _ = await asyncio.to_thread(admin.get, node.run_dir, "/ready")
        return status == 200 and not acceptors.keys() & node.children().keys()

    await settled(is_replaced)
    (known,) = (await explained(node, CAPULET))["peer"]
    assert (known["fact"], known["value"], known["source"]) == ("proof", "external", "learned")

    own = certificate(issuer, CAPULET)
    async with scripted(CAPULET, MONTAGUE, own, presents_certificate=False) as other:
        for _ in range(2):
            wire = await proved_by_dialback(other, capulet, node.s2s_port)
            await wire.closed_in_order()
    alarms = list(logged(node, "peer.downgraded"))
    assert [(each["remote"], each["before"], each["now"]) for each in alarms] == [
        (CAPULET, "external", "dialback")
    ]

    async def is_counted() -> bool:
        return (await node.metrics())["causeway_peer_downgrades_total", ()] == 1

    await settled(is_counted)
    history = (await explained(node, CAPULET))["history"]
    assert "downgraded" in {note["what"] for note in history}
    assert "DOWNGRADE" in await causeway(node, "explain", MONTAGUE, CAPULET)


async def proved_by_dialback(caller: Peer, authority: Peer, port: int) -> Wire:
    """An inbound stream whose key the authoritative server has called valid."""
    wire = await caller.secured(port)
    own_id = stream_id(wire.received)
    await wire.send(f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>")
    asked = await authority.greet(DIALBACK_FEATURE)
    await asked.until("<db:verify")
    await asked.until("</db:verify>")
    ends = f"from='{CAPULET}' to='{MONTAGUE}'"
    await asked.send(f"<db:result {ends} type='valid'/>")
    await asked.send(f"<db:verify {ends} id='{own_id}' type='valid'/>")
    await wire.until('type="valid"')
    await asked.closed_in_order()
    return wire
