"""The load generator: exact stanzas, exact counts, and an end that keeps nobody waiting."""

import asyncio
import hashlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.authority import Authority
from bench.remote import MARK, STANZA_BYTES, Component, Load, Remote, chat, client_context
from router.acceptor.layer import CHUNK_BYTES
from router.xmpp.events import StreamClosed
from router.xmpp.pair import DomainPair
from tests.support.acceptors import HOST
from tests.support.nodes import CAPULET, MONTAGUE, certificate
from tests.support.scripted_peer import (
    EXTERNAL_FEATURE,
    PROCEED,
    Peer,
    Wire,
    features,
    header,
    scripted,
)


class Sink:
    """A layer that keeps what it is given."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, octets: bytes) -> None:
        self.writes.append(octets)


# --- stanzas ---


@pytest.mark.parametrize("size", [STANZA_BYTES, 300, 4000])
def test_a_message_has_the_size_asked_for(size: int) -> None:
    octets = chat(CAPULET, MONTAGUE, size)
    assert len(octets) == size
    root = ElementTree.fromstring(octets)
    assert (root.tag, root.get("type")) == ("message", "chat")
    assert str(root.get("from")).split("/")[0] == f"romeo@{CAPULET}"
    assert octets.endswith(MARK)
    assert octets.count(MARK) == 1


def test_a_size_too_small_is_refused_with_the_smallest() -> None:
    with pytest.raises(ValueError, match=r"at least (\d+) octets") as refused:
        chat(CAPULET, MONTAGUE, 10)
    smallest = int(str(refused.value).split()[-2])
    assert len(chat(CAPULET, MONTAGUE, smallest)) == smallest
    with pytest.raises(ValueError):
        chat(CAPULET, MONTAGUE, smallest - 1)


# --- counting ---

PIECES = st.lists(st.sampled_from([b"<message>", MARK, b"</mess", b"age>", b"<", b"x" * 12]))


@given(PIECES, st.lists(st.integers(1, 25), min_size=1))
def test_ends_of_stanzas_are_counted_once_however_they_are_cut(
    pieces: list[bytes], sizes: list[int]
) -> None:
    octets, load, at, turn = b"".join(pieces), Load(), 0, 0
    while at < len(octets):
        size = sizes[turn % len(sizes)]
        load.count(octets[at : at + size])
        at, turn = at + size, turn + 1
        assert load.arrived == octets[:at].count(MARK)


def test_all_is_complete_when_as_many_have_arrived_as_were_expected() -> None:
    load = Load()
    load.expect(2)
    load.count(MARK + MARK[:5])
    assert not load.complete.is_set()
    load.count(MARK[5:])
    assert load.complete.is_set()
    load.expect(1)
    assert (load.arrived, load.complete.is_set()) == (0, False)
    load.count(MARK)
    assert load.complete.is_set()


# --- sending ---


@pytest.mark.parametrize("total", [1, 171, 400])
async def test_exactly_so_many_are_sent_in_chunks(total: int) -> None:
    load, sink = Load(), Sink()
    load._layer = sink  # type: ignore[assignment]
    stanza = chat(CAPULET, MONTAGUE)
    await load.send(stanza, total)
    assert b"".join(sink.writes) == stanza * total
    assert max(map(len, sink.writes)) <= CHUNK_BYTES


async def test_who_does_not_keep_up_is_waited_for() -> None:
    load, sink = Load(), Sink()
    load._layer = sink  # type: ignore[assignment]
    load.pause_writing()
    sending = asyncio.create_task(load.send(MARK, 1))
    await asyncio.sleep(0)
    assert sink.writes == []
    load.resume_writing()
    await sending
    assert sink.writes == [MARK]


async def test_a_lost_connection_keeps_nobody_waiting_and_takes_nothing() -> None:
    load = Load()
    load.expect(1)
    load.pause_writing()
    sending = asyncio.create_task(load.send(MARK, 1))
    load.connection_lost(None)
    await load.ready.wait()
    await load.complete.wait()
    with pytest.raises(ConnectionError):
        await sending
    load.eof_received(clean=False)
    load.close()


# --- the two ends ---


@pytest.fixture
def presented(issuer: Authority) -> Path:
    return certificate(issuer, CAPULET)


async def test_a_remote_server_negotiates_and_then_only_counts(
    issuer: Authority, presented: Path
) -> None:
    context = client_context(str(presented), str(presented.with_suffix(".key")))
    async with scripted(MONTAGUE, CAPULET, certificate(issuer, MONTAGUE)) as node:
        remote = Remote(DomainPair(CAPULET, MONTAGUE), context)
        connecting = asyncio.create_task(remote.connect(HOST, node.port))
        wire = await node.greet(EXTERNAL_FEATURE)
        await node.admit(wire)
        await connecting
        assert remote.closed is None
        remote.expect(2)
        await wire.send(chat(MONTAGUE, CAPULET) * 2)
        await asyncio.wait_for(remote.complete.wait(), 10)
        assert remote.arrived == 2
        await remote.send(chat(CAPULET, MONTAGUE), 1)
        await wire.until("</message>")
        remote.close()
        assert "</stream:stream>" in await wire.ended()


async def refuse(node: Peer) -> None:
    wire = await node.greet()
    await wire.close()


async def break_tls(node: Peer) -> None:
    wire = await node.accepted()
    await wire.until(">")
    await wire.send(
        header(MONTAGUE, CAPULET, id="1")
        + features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    )
    await wire.until("<starttls")
    await wire.send(PROCEED)
    await wire.until("\x16")
    await wire.send("no TLS is spoken here\r\n")


async def test_a_remote_server_whose_handshake_fails_says_so(
    issuer: Authority, presented: Path
) -> None:
    context = client_context(str(presented), str(presented.with_suffix(".key")))
    async with scripted(MONTAGUE, CAPULET, certificate(issuer, MONTAGUE)) as node:
        remote = Remote(DomainPair(CAPULET, MONTAGUE), context)
        breaking = asyncio.create_task(break_tls(node))
        await asyncio.wait_for(remote.connect(HOST, node.port), 10)
        await breaking
        assert remote.closed == StreamClosed(None, True, "wrong version number")


async def test_a_remote_server_that_is_hung_up_on_stops_waiting(
    issuer: Authority, presented: Path
) -> None:
    context = client_context(str(presented), str(presented.with_suffix(".key")))
    async with scripted(MONTAGUE, CAPULET, certificate(issuer, MONTAGUE)) as node:
        remote = Remote(DomainPair(CAPULET, MONTAGUE), context)
        refusing = asyncio.create_task(refuse(node))
        await asyncio.wait_for(remote.connect(HOST, node.port), 10)
        await refusing
        with pytest.raises(ConnectionError):
            await remote.send(MARK, 1)


COMPONENT_HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns='jabber:component:accept' from='{domain}' id={quote}{id}{quote}>"
)


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("at", [0, 150, -8, -1], ids=lambda at: f"cut at {at}")
async def test_a_component_shakes_hands_however_the_header_is_cut(
    issuer: Authority, quote: str, at: int
) -> None:
    async with scripted(MONTAGUE, CAPULET, certificate(issuer, MONTAGUE)) as node:
        component = Component(MONTAGUE, "s3cr3t")
        connecting = asyncio.create_task(component.connect(HOST, node.port))
        wire = await node.accepted()
        await wire.until("<stream:stream")
        await wire.until(">")
        text = COMPONENT_HEADER.format(domain=MONTAGUE, quote=quote, id="a-long-id")
        component.data_received(text[:at].encode())
        component.data_received(text[at:].encode())
        digest = hashlib.sha1(b"a-long-ids3cr3t").hexdigest()
        assert digest in await wire.until("</handshake>")
        assert wire.received.count("<handshake>") == 1
        await wire.send("<handshake/>")
        await connecting
        component.close()


async def test_a_component_echoes_as_many_as_arrive(issuer: Authority) -> None:
    reply = chat(MONTAGUE, CAPULET)
    async with scripted(MONTAGUE, CAPULET, certificate(issuer, MONTAGUE)) as node:
        component = Component(MONTAGUE, "s3cr3t", reply)
        connecting = asyncio.create_task(component.connect(HOST, node.port))
        wire: Wire = await node.accepted()
        await wire.send(COMPONENT_HEADER.format(domain=MONTAGUE, quote="'", id="1"))
        await wire.until("</handshake>")
        await wire.send("<handshake/>")
        await connecting
        await wire.send(chat(CAPULET, MONTAGUE) * 3)
        for _ in range(3):
            assert (await wire.until("</message>")).encode() == reply
        component.close()
        await wire.ended()
        assert wire.received.encode().count(MARK) == 3


async def test_what_comes_with_the_end_of_the_handshake_is_counted() -> None:
    component = Component(MONTAGUE, "s3cr3t")
    component.data_received(b"<handshake/>" + chat(CAPULET, MONTAGUE) * 2)
    assert component.ready.is_set()
    assert component.arrived == 2
