"""What never reaches a log, whatever is said to a node that logs all it can: secrets and contents.

Every secret, key, digest and content of this file is a text that occurs nowhere else. One remote
text is logged on purpose, that of a peer's stream error; secrets are taken out of it.
"""

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.authority import Authority
from bench.peers.causeway import Causeway
from tests.support.component import Component, attached
from tests.support.nodes import MONTAGUE, VERONA, certificate, logged, node
from tests.support.scripted_peer import (
    DIALBACK_FEATURE,
    END,
    HOST,
    Peer,
    Wire,
    auth,
    message,
    scripted,
    stream_id,
)

ROMEO = f"romeo@{MONTAGUE}"
COMPONENT_SECRET, WRONG_SECRET = "component-MARK-q8w", "wrong-component-MARK-e3r"
DIALBACK_SECRET = "dialback-MARK-t5y"
THEIR_KEY, FORGED_KEY, ASKED_KEY = "key-MARK-u7i", "forged-key-MARK-o9p", "asked-key-MARK-a1s"
BODY, BROKEN, ELEMENT, ATTRIBUTE = "body-MARK-d2", "broken-MARK-f4", "text-MARK-g6", "attr-MARK-h8"
IDENTITY, HANDSHAKE = "identity-MARK-j1", "handshake-MARK-k3"
MARKERS = {each for each in globals().copy().values() if isinstance(each, str) and "MARK" in each}

STRANGE = f"<x xmlns='urn:x' a='{ATTRIBUTE}'>{ELEMENT}<y b='{ATTRIBUTE}'>{ELEMENT}</y></x>"
SAID = f"<body>{BODY}</body>"


class Stage(NamedTuple):
    """A node that logs at level debug, and the servers it has routes to, by their first label."""

    node: Causeway
    romeo: Component
    peers: dict[str, Peer]

    async def hears(self, wire: Wire, peer: Peer) -> None:
        """A message of the peer on this wire reaches the component."""
        before = self.romeo.arrived
        sent = message(f"juliet@{peer.domain}", ROMEO, f"n{before}")
        await wire.send(sent.replace("<body>hear me</body>", SAID))
        await self.romeo.until(lambda: self.romeo.arrived == before + 1)

    def says(self, peer: Peer) -> None:
        """The component has a message for the peer."""
        sent = message(ROMEO, f"juliet@{peer.domain}", "out")
        self.romeo.write(sent.replace("<body>hear me</body>", SAID))


@asynccontextmanager
async def stage(directory: Path, issuer: Authority) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        peers = {}
        for label in ("external", "keyed", "forger", "believer", "doubter"):
            domain = f"{label}.example"
            issuer.issue(domain)
            file = certificate(issuer, domain)
            peers[label] = await stack.enter_async_context(scripted(domain, MONTAGUE, file))
        secret = directory / "dialback.secret"
        secret.touch(mode=0o600)
        secret.write_text(DIALBACK_SECRET)
        running = await stack.enter_async_context(
            node(
                directory,
                issuer,
                components={MONTAGUE: COMPONENT_SECRET, VERONA: COMPONENT_SECRET},
                routes={peer.domain: (HOST, peer.port) for peer in peers.values()},
                settings={"log": {"level": "debug"}},
            )
        )
        romeo = await stack.enter_async_context(
            attached(MONTAGUE, COMPONENT_SECRET, running.component_port)
        )
        yield Stage(running, romeo, peers)


async def components_are_refused(stage: Stage) -> None:
    with pytest.raises(ConnectionRefusedError):
        await Component(VERONA).attach(stage.node.component_port, WRONG_SECRET)
    wire = await stage.peers["external"].dial(stage.node.component_port)
    await wire.send(
        f"<stream:stream xmlns='jabber:component:accept' to='{VERONA}'"
        f" xmlns:stream='http://etherx.jabber.org/streams'><handshake>{HANDSHAKE}</handshake>"
    )
    assert "not-authorized" in await wire.ended()


async def external(stage: Stage) -> None:
    """A peer with a certificate, and everything odd that it may say."""
    peer, port = stage.peers["external"], stage.node.s2s_port
    wire = await peer.authenticated(port)
    await stage.hears(wire, peer)
    ask = f"<db:verify from='{peer.domain}' to='{MONTAGUE}' id='their-id'>{ASKED_KEY}</db:verify>"
    await wire.send(STRANGE + ask)
    await wire.until('type="invalid"')
    await wire.closed_in_order()
    refused = await peer.secured(port)
    await refused.send(STRANGE + auth(IDENTITY))
    await refused.until("</failure>")
    await refused.closed_in_order()
    for bad in (
        f"<message><body>{BROKEN}</boody>",
        f"<message from='{BROKEN}@x' to='{ROMEO}'><body>{BODY}</body></message>",
        f"<!-- {BROKEN} -->",
        f"<x:{ELEMENT} a='{BROKEN}'/>",
    ):
        broken = await peer.authenticated(port)
        await broken.send(bad)
        assert "stream:error" in await broken.ended()


async def blames(stage: Stage, said: str) -> None:
    """A stream error whose text has what the peer should not have said."""
    wire = await stage.peers["external"].authenticated(stage.node.s2s_port)
    errors = "urn:ietf:params:xml:ns:xmpp-streams"
    await wire.send(
        f"<stream:error><policy-violation xmlns='{errors}'/><text xmlns='{errors}'>{said}</text>"
        f"</stream:error>{END}"
    )
    await wire.ended()


async def says_hostile_things(stage: Stage) -> None:
    """All that a peer can have logged, made to break lines and terminals."""
    wire = await stage.peers["external"].authenticated(stage.node.s2s_port)
    bidi = "\u202e\u2066\u2028\u200b"
    await wire.send(f"<n{'y' * 9999} xmlns='urn:{bidi}{'z' * 9999}'/>")
    await wire.closed_in_order()
    await blames(stage, f"&#10;{{&quot;event&quot;: &quot;forged&quot;}}{bidi}{'z' * 100_000}")


async def proves_by_dialback(stage: Stage, peer: Peer, key: str, verdict: str) -> None:
    """A peer without a certificate brings a key; its own server says what it is worth."""
    peer.presents_certificate = False
    wire = await peer.secured(stage.node.s2s_port)
    pair = f"from='{peer.domain}' to='{MONTAGUE}'"
    await wire.send(f"<db:result {pair}>{key}</db:result>")
    asked = await peer.greet(DIALBACK_FEATURE)
    await asked.until("</db:verify>")
    identity = stream_id(wire.received)
    await asked.send(f"<db:verify {pair} id='{identity}' type='{verdict}'/>")
    await wire.until(f'type="{verdict}"')
    if verdict == "valid":
        await stage.hears(wire, peer)


async def is_asked_for_proof(stage: Stage, peer: Peer, verdict: str) -> str:
    """A peer that wants our key; it is returned."""
    stage.says(peer)
    wire = await peer.greet("<dialback xmlns='urn:xmpp:features:dialback'/>")
    sent = await wire.until("</db:result>")
    await wire.send(f"<db:result from='{peer.domain}' to='{MONTAGUE}' type='{verdict}'/>")
    if verdict == "valid":
        await wire.until(BODY)
    await wire.closed_in_order()
    return sent.removesuffix("</db:result>").rpartition(">")[2]


async def test_no_secret_and_no_content_is_in_any_line(tmp_path: Path, issuer: Authority) -> None:
    async with stage(tmp_path, issuer) as on:
        await components_are_refused(on)
        await external(on)
        await proves_by_dialback(on, on.peers["keyed"], THEIR_KEY, "valid")
        await proves_by_dialback(on, on.peers["forger"], FORGED_KEY, "invalid")
        keys = {
            await is_asked_for_proof(on, on.peers["believer"], "valid"),
            await is_asked_for_proof(on, on.peers["doubter"], "invalid"),
        }
        assert all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)
        await blames(on, f"you said {min(keys)} and your secret is {COMPONENT_SECRET}")
        await says_hostile_things(on)
        running = on.node
    lines = running.log().splitlines()
    payloads = {base64.b64encode(text.encode()).decode() for text in (IDENTITY, "external.example")}
    for marker in MARKERS | keys | payloads:
        assert [line for line in lines if marker in line] == [], marker
    assert_it_was_talkative(running)
    assert_nothing_is_hostile(lines)
    redacted = [json.loads(line) for line in lines if "[redacted]" in line]
    told = [(line["event"], line.get("text")) for line in redacted]
    assert told == [("stream.closed", "you said [redacted] and your secret is [redacted]")]


def assert_nothing_is_hostile(lines: list[str]) -> None:
    entries = [json.loads(line) for line in lines]
    values = [value for entry in entries for value in entry.values() if isinstance(value, str)]
    assert [value for value in values if not value.isprintable() or len(value) > 256] == []
    assert "forged" not in {entry["event"] for entry in entries}
    for event, key in (("stream.closed", "text"), ("stream.ignored", "what")):
        told = [entry[key] for entry in entries if entry["event"] == event]
        assert any("\\u202e\\u2066\\u2028\\u200b" in text for text in told), event


def assert_it_was_talkative(running: Causeway) -> None:
    """Every kind of line that could have told something is there, with whom it is about."""
    for event in (
        "stream.opened",
        "stream.phase",
        "tls.established",
        "s2s.granted",
        "dialback.key_received",
        "dialback.key_answered",
        "s2s.refused",
        "s2s.authorised",
        "stream.ignored",
        "component.asked",
        "stream.closed",
    ):
        found = list(logged(running, event))
        assert found, event
        assert all("stream" in line for line in found), event
    for event in ("s2s.granted", "s2s.authorised", "dialback.key_received", "s2s.refused"):
        about = {(line["local"], bool(line["remote"])) for line in logged(running, event)}
        assert about == {(MONTAGUE, True)}, event
    closed = [line["condition"] for line in logged(running, "stream.closed")]
    assert {"not-authorized", "not-well-formed", "policy-violation", None} <= set(closed)
