"""Hostile answers on streams that the node opens, in every phase, over sockets.

Each case has a remote domain, a listener and a route of its own; what the node wanted to send
comes back to its sender, or has been handed over before.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

import pytest
import pytest_asyncio

from bench.authority import Authority
from router.xmpp.names import STREAM_ERRORS
from tests.support.component import Component, attached
from tests.support.eventually import eventually
from tests.support.hostile import CAPULET, HEADERS, IGNORED, UNPROVED, XML, Fatal, Table
from tests.support.hostile_open import ADDRESSES, AWAITING
from tests.support.nodes import MONTAGUE, SECRET, TYBALT, node
from tests.support.scripted_peer import (
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    END,
    EXTERNAL_FEATURE,
    HOST,
    PROCEED,
    STARTTLS,
    SUCCESS,
    Peer,
    Wire,
    features,
    header,
    message,
    scripted,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = [
    "header",
    "features",
    "proceed",
    "header inside TLS",
    "features inside TLS",
    "SASL",
    "header after SASL",
    "features after SASL",
    "open",
]
SENT_HEADER = "<stream:stream"


class Case(NamedTuple):
    """Where the peer says it, what, and how the node ends the stream."""

    phase: str
    name: str
    octets: str | bytes
    condition: str


def some(table: Table, *names: str) -> list[tuple[str, str | bytes, str]]:
    found = [(name, table[name].octets, table[name].outcome) for name in names]
    assert all(isinstance(outcome, Fatal) for _, _, outcome in found)
    return found


IN_A_HEADERS_PLACE = [
    *some(HEADERS, "not XML", "a client's namespace", "a document type", "an endless header"),
    *some(AWAITING, "a version in words"),
]
BEHIND_A_HEADER = [
    *some(XML, "text", "a comment", "a second header", "tags that cross", "an element without end"),
    *some(UNPROVED, "a message", "without addresses"),
]
OPEN = [
    *some(XML, "text", "a client's stanza", "a namespace with a brace", "too deep"),
    *some(IGNORED, "eleven of them"),
    *some(ADDRESSES, "no sender", "transit", "another sender", "our own domain as sender"),
]
CASES = [
    Case(phase, *row)
    for phase in HERE
    for row in (
        OPEN if phase == "open" else IN_A_HEADERS_PLACE if "header" in phase else BEHIND_A_HEADER
    )
]
DOMAINS = {case: f"h{number}.example" for number, case in enumerate(CASES)}


class Scene(NamedTuple):
    """A component of the node, and a peer for every case."""

    romeo: Component
    peers: dict[Case, Peer]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, issuer: Authority
) -> AsyncIterator[Scene]:
    theirs = tmp_path_factory.mktemp("theirs")
    async with AsyncExitStack() as held:
        peers = {
            case: await held.enter_async_context(
                scripted(domain, MONTAGUE, issuer.issue(domain, into=theirs)[0])
            )
            for case, domain in DOMAINS.items()
        }
        routes = {peer.domain: (HOST, peer.port) for peer in peers.values()}
        running = await held.enter_async_context(
            node(tmp_path_factory.mktemp("node"), issuer, routes=routes)
        )
        romeo = await held.enter_async_context(attached(MONTAGUE, SECRET, running.component_port))
        yield Scene(romeo, peers)


async def until_header(wire: Wire) -> None:
    await wire.until(SENT_HEADER)
    await wire.until(">")


async def lead(peer: Peer, wire: Wire, phase: str) -> None:
    """Answer as the node wishes, up to the phase."""
    here = HERE.index(phase)
    ours = header(peer.domain, MONTAGUE, id="i")
    await until_header(wire)
    if here >= 1:
        await wire.send(ours)
    if here >= 2:
        await wire.send(features(STARTTLS))
        await wire.until(STARTTLS)
    if here >= 3:
        await wire.send(PROCEED)
        await wire.start_tls(peer.server_context())
        await until_header(wire)
    if here >= 4:
        await wire.send(ours)
    if here >= 5:
        await wire.send(features(EXTERNAL_FEATURE, BIDI_FEATURE, DIALBACK_FEATURE))
        await wire.until("</auth>")
    if here >= 6:
        await wire.send(SUCCESS)
        await until_header(wire)
    if here >= 7:
        await wire.send(ours)
    if here >= 8:
        await wire.send(features(DIALBACK_FEATURE))
        await wire.until("</message>")


async def serve(peer: Peer, case: Case, endings: list[str]) -> None:
    """Say it on every connection that the node opens."""
    octets = case.octets if isinstance(case.octets, bytes) else case.octets.encode()
    octets = octets.replace(CAPULET.encode(), peer.domain.encode())
    while True:
        wire = await peer.accepted()
        await lead(peer, wire, case.phase)
        await wire.send(octets)
        endings.append(await wire.ended())


@pytest.mark.clause("STR-17", "XML-02", "BIDI-11", "ERR-01", "RTE-10")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.phase}: {case.name}")
async def test_a_hostile_answer(scene: Scene, case: Case) -> None:
    romeo, peer = scene.romeo, scene.peers[case]
    delivered, heard = romeo.arrived, len(romeo.others)
    endings: list[str] = []
    serving = asyncio.create_task(serve(peer, case, endings))
    try:
        sender, target = f"romeo@{MONTAGUE}", f"juliet@{peer.domain}"
        romeo.write(message(sender, target, "n0"))
        await eventually(lambda: endings)
        if case.phase != "open":
            await romeo.until(lambda: len(romeo.others) > heard)
            bounce = romeo.others[-1]
            assert (bounce.kind, bounce.attributes["from"]) == ("error", target)
            assert "remote-server-timeout" in bounce.inside
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
    for ending in endings:
        assert f"<stream:error><{case.condition} xmlns='{STREAM_ERRORS}'/>" in ending
        assert ending.endswith(f"</stream:error>{END}")
        assert "<message" not in ending and TYBALT not in ending
    assert romeo.arrived == delivered
    assert len(romeo.others) == heard + (case.phase != "open")
