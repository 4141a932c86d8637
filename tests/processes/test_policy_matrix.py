"""TLS policy x certificate x dialback, both directions, over sockets with real TLS.

A subset of `tests.support.policy_cells` with every kind of certificate in both directions. Every
cell has its own remote domain and route: none inherits what the node has learnt from another.
"""

import asyncio
import datetime
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.authority import Authority
from tests.support.component import Component, attached
from tests.support.eventually import eventually
from tests.support.nodes import MONTAGUE, SECRET, node
from tests.support.policy_cells import Cell, Expected, Kind, cells, expected
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
    auth,
    features,
    header,
    message,
    scripted,
)

pytestmark = pytest.mark.thorough

GARBAGE = "not a handshake " * 20


def covered(cell: Cell) -> bool:
    """With the usual policy everything; with another, what it changes."""
    if cell.direction == "out" and cell.tls == "starttls" and cell.certificate == "none":
        return False  # a TLS server has one
    if cell.tls_required and cell.dialback:
        return True
    return cell.tls != "starttls" or cell.certificate in ("valid", "self-signed")


CELLS = [cell for cell in cells("in") + cells("out") if covered(cell)]
DOMAINS = {cell: f"c{number}.example" for number, cell in enumerate(CELLS)}


def issue(kind: Kind, domain: str, ours: Authority, theirs: Authority, into: Path) -> Path:
    """A certificate file for the domain. For "none" it serves, but is not presented."""
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    by = theirs if kind == "untrusted CA" else ours
    certificate, _ = by.issue(
        domain,
        into=into,
        dns=("another.example",) if kind == "wrong name" else None,
        eku="server" if kind == "serverAuth only" else "both",
        not_after=yesterday if kind == "expired" else None,
        self_signed=kind in ("self-signed", "none"),
    )
    return certificate


async def hear(wire: Wire, *wanted: str) -> str:
    """All up to the end of the tag with the first of these, or up to the end."""
    heard = ""
    with suppress(AssertionError):
        while not any(each in heard for each in wanted):
            heard += await wire.until(">")
    return heard


def ends(wire: Wire, heard: str) -> str:
    """How the node has ended a stream, in the words of `Expected.ends`."""
    if found := re.search(r"<stream:error><([a-z-]+)", heard):
        assert heard.endswith(END)
        return f"SE {found[1]}"
    return "tls"


async def calls(peer: Peer, port: int, cell: Cell, juliet: str, romeo: str) -> Expected:
    """The peer opens a stream to the node; what came of it. The last it sends is a stanza."""
    wire = await peer.dial(port)
    await wire.send(peer.header())
    heard = await hear(wire, "</stream:features>")
    if cell.tls != "none":
        await wire.send(STARTTLS)
        assert (await hear(wire, PROCEED)).endswith(PROCEED)
        if cell.tls == "fails":
            await wire.send(GARBAGE)
            assert END not in await wire.ended()
            return Expected(ends="tls")
        await wire.start_tls(peer.client_context(), MONTAGUE)
        await wire.send(peer.header())
        heard = await hear(wire, "</stream:features>")
        if END in heard:
            return Expected(ends=ends(wire, heard))
    if "EXTERNAL" in heard:
        await wire.send(auth(peer.domain))
        await wire.until(SUCCESS)
        await wire.send(peer.header() + message(juliet, romeo, "n0"))
        return Expected("external")
    await wire.send(f"<db:result from='{peer.domain}' to='{MONTAGUE}'>a key</db:result>")
    heard = await hear(wire, 'type="valid"', "</db:result>", END)
    await wire.send(message(juliet, romeo, "n0"))
    if 'type="valid"' in heard:
        return Expected("dialback")
    refused = re.search(r"<error type='[a-z]+'><([a-z-]+)", heard)
    last = heard + await wire.ended()
    assert "<not-authorized " in last or not refused
    return Expected(ends=f"DE {refused[1]}" if refused else ends(wire, last))


async def answers(peer: Peer, wire: Wire, cell: Cell) -> Expected:
    """The peer takes a connection of the node; what came of it. A key of its own it confirms."""
    offered = [BIDI_FEATURE, DIALBACK_FEATURE]
    tls = cell.tls if cell.direction == "out" else "starttls"
    here = [] if tls == "none" else [STARTTLS]
    await wire.send(header(peer.domain, MONTAGUE, id="plain") + features(*here, *offered))
    heard = await hear(wire, STARTTLS, "</db:result>", "</db:verify>", END)
    if STARTTLS in heard:
        if tls == "none":
            await wire.send(f"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{END}")
            return Expected(ends="peer")
        await wire.send(PROCEED)
        if tls == "fails":
            await wire.send(GARBAGE)
            assert END not in await wire.ended()
            return Expected(ends="tls")
        await wire.start_tls(peer.server_context())
        heard = await hear(wire, "<stream:stream", END)
        if not heard.endswith(END):
            secure = features(EXTERNAL_FEATURE, *offered)
            await wire.send(header(peer.domain, MONTAGUE, id="secure") + secure)
            heard = await hear(wire, "</auth>", "</db:result>", "</db:verify>", END)
        if "<stream:error>" in heard:
            return Expected(ends=ends(wire, heard + await wire.ended()))
    asks_bidi = "<bidi " in heard
    if "<auth " in heard:
        await wire.send(SUCCESS)
        await hear(wire, "<stream:stream")
        await wire.send(header(peer.domain, MONTAGUE, id="open") + features(DIALBACK_FEATURE))
        return Expected("external", asks_bidi=asks_bidi)
    if "<db:result " in heard:
        given = f"from='{peer.domain}' to='{MONTAGUE}' type='valid'"
        await wire.send(f"<db:result {given}/>")
        return Expected("dialback", asks_bidi=asks_bidi)
    return Expected(ends="no way")


async def confirms(wire: Wire, domain: str) -> None:
    """Whatever else is said there: the peer's own key is good."""
    question = await hear(wire, "</db:verify>")
    if found := re.search(r"<db:verify [^>]*id=[\"']([^\"']+)", question):
        given = f"from='{domain}' to='{MONTAGUE}' id='{found[1]}' type='valid'"
        await wire.send(f"<db:verify {given}/>")


class Scene(NamedTuple):
    """A node with a component, and a peer for every cell, to which its domain's route leads."""

    port: int
    romeo: Component
    peers: dict[Cell, Peer]


@asynccontextmanager
async def scene(
    directory: Path, issuer: Authority, played: list[Cell], tls_required: bool, dialback: bool
) -> AsyncIterator[Scene]:
    stranger = Authority.make(directory / "stranger", "A stranger's CA")
    async with AsyncExitStack() as open_for_long:
        peers: dict[Cell, Peer] = {}
        for cell in played:
            file = issue(cell.certificate, DOMAINS[cell], issuer, stranger, directory / "theirs")
            presents = cell.certificate != "none"
            peer = scripted(DOMAINS[cell], MONTAGUE, file, presents_certificate=presents)
            peers[cell] = await open_for_long.enter_async_context(peer)
        routes = {
            peer.domain: {"target": f"{HOST}:{peer.port}", "require": cell.require}
            for cell, peer in peers.items()
        }
        settings = {"tls": {"required": tls_required}, "peers": routes}
        async with (
            node(directory, issuer, dialback=dialback, settings=settings) as running,
            attached(MONTAGUE, SECRET, running.component_port) as romeo,
        ):
            yield Scene(running.s2s_port, romeo, peers)


async def serve(peer: Peer, cell: Cell, outcomes: list[Expected]) -> None:
    """Take every connection of the node for as long as the cell lasts."""
    while True:
        wire = await peer.accepted()
        await hear(wire, "<stream:stream")
        outcome = await answers(peer, wire, cell)
        outcomes.append(outcome)
        if cell.direction == "in" and outcome.mechanism:
            await confirms(wire, peer.domain)


async def play(cell: Cell, on: Scene) -> Expected:
    """One cell from beginning to end; whether its stanza passed is judged here."""
    peer, romeo = on.peers[cell], on.romeo
    theirs, ours = f"juliet@{peer.domain}", f"romeo@{MONTAGUE}"
    arrived, others = romeo.arrived, len(romeo.others)
    outcomes: list[Expected] = []
    serving = asyncio.create_task(serve(peer, cell, outcomes))
    try:
        if cell.direction == "in":
            result = await calls(peer, on.port, cell, theirs, ours)
            if result.mechanism:
                await romeo.until(lambda: romeo.arrived > arrived)
            assert romeo.arrived - arrived == (result.mechanism != "")
            return result
        romeo.write(message(ours, theirs, "n0"))
        await eventually(lambda: outcomes)
        if not outcomes[0].mechanism:
            await romeo.until(
                lambda: any(got.attributes["from"] == theirs for got in romeo.others[others:])
            )
        assert len(set(outcomes)) == 1, outcomes
        return outcomes[0]
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


@pytest.mark.clause("TLS-05", "TLS-07", "TLS-08", "TLS-09", "SAS-01", "CRT-06", "BIDI-13")
@pytest.mark.parametrize("dialback", [True, False], ids=["dialback", "no dialback"])
@pytest.mark.parametrize("tls_required", [True, False], ids=["TLS required", "TLS optional"])
async def test_every_cell_ends_as_the_policy_says(
    tmp_path: Path, issuer: Authority, tls_required: bool, dialback: bool
) -> None:
    played = [c for c in CELLS if (c.tls_required, c.dialback) == (tls_required, dialback)]
    async with scene(tmp_path, issuer, played, tls_required, dialback) as on:
        results = {str(cell): (await play(cell, on), expected(cell)) for cell in played}
    assert {cell: result for cell, result in results.items() if result[0] != result[1]} == {}
