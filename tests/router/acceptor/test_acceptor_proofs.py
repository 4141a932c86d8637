"""How streams of one whole acceptor come about: dials, keys, handshakes, admission."""

import pytest

from router.config import Address, Limits
from router.config import Peer as PeerConfig
from router.wire.frames import (
    Dial,
    DialFailed,
    Dialling,
    Granted,
    Verified,
    Verify,
    VerifyKey,
)
from router.xmpp.pair import DomainPair
from tests.support.acceptor_node import INWARD, OUTWARD, Node, Other, StartNode
from tests.support.acceptors import HOST
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, TYBALT, VERONA
from tests.support.scripted_peer import (
    DIALBACK_FEATURE,
    EXTERNAL_FEATURE,
    Peer,
    features,
    header,
)

# --- proofs ---


@pytest.mark.clause("DBK-15", "BIDI-10")
async def test_a_key_is_verified_through_the_shard_and_then_grants(
    node: Node, tybalt: Peer
) -> None:
    wire = await tybalt.secured(node.s2s_port)
    await wire.send(
        f"<bidi xmlns='urn:xmpp:bidi'/><db:result from='{TYBALT}' to='{MONTAGUE}'>key</db:result>"
    )
    asked = await node.worker.hears(Verify)
    assert (asked.pair, asked.key) == (DomainPair(TYBALT, MONTAGUE), "key")
    assert not any(isinstance(frame, Granted) for frame in node.worker.heard)
    node.worker.send(Verified(asked.request, "valid"))
    await wire.until("<db:result")
    granted = await node.worker.hears(Granted)
    assert granted == Granted(granted.stream, DomainPair(MONTAGUE, TYBALT), False, "dialback")
    assert node.counts("causeway_s2s_authenticated_total", "in", "dialback") == 1
    assert node.counts("causeway_s2s_authenticated_total") == 1


@pytest.mark.clause("STR-03")
async def test_a_header_that_names_nobody_is_for_whom_sni_named(node: Node, capulet: Peer) -> None:
    wire = await capulet.dial(node.s2s_port)
    await wire.send(header(CAPULET, VERONA))
    await wire.until("</stream:features>")
    await wire.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await wire.until("<proceed")
    await wire.until(">")
    await wire.start_tls(capulet.client_context(), MONTAGUE)
    await wire.send(header(CAPULET, None))
    assert f'from="{MONTAGUE}"' in await wire.until("</stream:features>")


async def test_a_stream_that_closes_is_no_answer_to_a_dial(node: Node, capulet: Peer) -> None:
    node.worker.send(Dial(OUTWARD))
    await capulet.admit(await capulet.greet(EXTERNAL_FEATURE))
    first = await node.worker.hears(Granted)
    await node.worker.hears(Dialling)
    (stream,) = node.acceptor.connections()
    stream.close()
    node.worker.send(Dial(OUTWARD))
    await node.worker.hears(Dialling)
    await capulet.admit(await capulet.greet(EXTERNAL_FEATURE))
    assert (await node.worker.hears(Granted)).stream != first.stream


async def test_a_dial_ends_in_a_grant(node: Node, capulet: Peer) -> None:
    node.worker.send(Dial(OUTWARD))
    await node.worker.hears(Dialling, pair=OUTWARD)
    wire = await capulet.greet(EXTERNAL_FEATURE)
    await capulet.admit(wire)
    granted = await node.worker.hears(Granted)
    assert granted == Granted(granted.stream, OUTWARD, True, "external")
    assert node.counts("causeway_s2s_authenticated_total", "out", "external") == 1
    assert node.counts("causeway_tls_handshakes_total", "client", "ok") == 1
    assert node.counts("causeway_tcp_connections_total", "out") == 1


async def test_a_target_may_want_tls_at_once(start: StartNode, capulet: Peer) -> None:
    route = PeerConfig(target=Address(HOST, capulet.port), target_tls="direct")
    node = await start(peers={CAPULET: route})
    node.worker.send(Dial(OUTWARD))
    wire = await capulet.accepted()
    await wire.start_tls(capulet.server_context())
    await wire.until("<stream:stream")
    await wire.until(">")
    await wire.send(header(CAPULET, MONTAGUE, id="1") + features(EXTERNAL_FEATURE))
    await capulet.admit(wire)
    await node.worker.hears(Granted, pair=OUTWARD)


async def test_a_dial_that_fails_leaves_nothing_behind(
    start: StartNode,
) -> None:
    node = await start(peers={CAPULET: PeerConfig(target=Address(HOST, 1))})
    node.worker.send(Dial(OUTWARD))
    failed = await node.worker.hears(DialFailed)
    assert (failed.pair, failed.condition) == (OUTWARD, "remote-server-timeout")
    assert node.acceptor.connections() == []
    assert node.counts("causeway_s2s_streams") == 0


async def test_a_dial_that_is_refused_is_told_of(node: Node, capulet: Peer) -> None:
    node.worker.send(Dial(OUTWARD))
    wire = await capulet.greet(DIALBACK_FEATURE)
    await wire.until("</db:result>")
    await wire.send(f"<db:result from='{CAPULET}' to='{MONTAGUE}' type='invalid'/>")
    assert (await node.worker.hears(DialFailed)).condition == "internal-server-error"


async def test_a_key_of_another_acceptors_stream_is_verified_here(
    node: Node, other: Other, capulet: Peer
) -> None:
    node.worker.send(VerifyKey(other.name, 77, INWARD, "s1", "key"))
    wire = await capulet.greet(EXTERNAL_FEATURE)
    await capulet.admit(wire)
    await wire.until("</db:verify>")
    await wire.send(f"<db:verify from='{CAPULET}' to='{MONTAGUE}' id='s1' type='valid'/>")
    await eventually(lambda: other.told)
    assert other.told == [Verified(77, "valid")]


async def test_a_failed_handshake_is_counted(node: Node) -> None:
    wire = await node.wire(node.s2s_port)
    await wire.send(header(CAPULET, MONTAGUE))
    await wire.until("</stream:features>")
    await wire.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await wire.until("<proceed")
    await wire.send("no TLS is spoken here\r\n")
    await wire.ended()
    await eventually(
        lambda: node.counts("causeway_tls_handshakes_total", "server", "none", "failed")
    )


@pytest.mark.clause("ERR-05")
async def test_who_has_proved_itself_makes_room_for_strangers(
    start: StartNode, capulet: Peer
) -> None:
    node = await start(limits=Limits(unauthenticated_per_address=1))
    await capulet.authenticated(node.s2s_port)
    await node.worker.hears(Granted)
    stranger = await capulet.dial(node.s2s_port)
    await stranger.send(capulet.header())
    await stranger.until("</stream:features>")
    refused = await capulet.dial(node.s2s_port)
    assert await refused.ended() == ""
    await stranger.close()

    await eventually(lambda: len(node.acceptor.connections()) == 1)
    again = await capulet.dial(node.s2s_port)
    await again.send(capulet.header())
    await again.until("</stream:features>")
