"""One whole acceptor: real sockets on one side, a scripted worker on the real bus on the other."""

from dataclasses import replace

import pytest
import zmq

from router.wire.frames import (
    Announced,
    Attach,
    AttachAnswer,
    Attached,
    Data,
    Detached,
    Dial,
    DialFailed,
    Dialling,
    Granted,
    Joined,
    Reject,
    Retire,
    Revoked,
)
from router.wire.shard import SHARDS, shard_of
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptor_node import INWARD, OUTWARD, OWN, Component, Node
from tests.support.acceptors import forward
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, TYBALT
from tests.support.scripted_peer import (
    END,
    Peer,
    message,
)

# --- components ---


@pytest.mark.clause("CMP-02")
async def test_a_component_attaches_when_its_shard_says_so(node: Node) -> None:
    component = await Component.shakes_hands(node)
    asked = await node.worker.hears(Attach)
    assert asked.domain == MONTAGUE
    assert "<handshake" not in component.wire.received
    node.worker.send(AttachAnswer(asked.request, True))
    await component.wire.until("<handshake/>")
    assert await node.worker.hears(Attached) == Attached(MONTAGUE, asked.stream)
    assert node.counts("causeway_s2s_authenticated_total", "in", "component") == 1


async def test_the_shard_that_is_asked_is_that_of_the_domain_with_itself(
    node: Node, context: zmq.Context
) -> None:
    """With every other shard at another worker, the question still comes to this one."""
    other = node.new_worker("w1.1")
    owners = ["w1.1"] * SHARDS
    owners[shard_of(MONTAGUE, MONTAGUE)] = node.worker.name
    node.owned(tuple(owners))
    for worker in (node.worker, other):
        worker.send(Joined(node.version))
        await worker.hears(Announced, version=node.version)
    component = await Component.shakes_hands(node)
    await node.worker.hears(Attach, domain=MONTAGUE)
    assert other.heard == []
    await component.wire.close()
    other.close()


@pytest.mark.clause("CMP-02")
async def test_a_domain_that_is_taken_is_a_conflict(node: Node) -> None:
    component = await Component.shakes_hands(node)
    asked = await node.worker.hears(Attach)
    node.worker.send(AttachAnswer(asked.request, False))
    assert "<conflict " in (await component.wire.ended()).replace('"', "'")
    await node.worker.hears(Detached)
    assert not any(isinstance(frame, Attached) for frame in node.worker.heard)


async def test_a_component_that_leaves_is_detached_at_once(node: Node) -> None:
    component = await Component.attached(node)
    (connection,) = node.acceptor.connections()
    connection.close()
    assert await node.worker.hears(Detached) == Detached(MONTAGUE, connection.number)
    assert connection.end is None, "it has not ended yet, but takes nothing more"
    await component.wire.send(END)
    await component.wire.ended()
    await eventually(lambda: not node.acceptor.connections())
    assert not any(isinstance(frame, Detached) for frame in node.worker.heard)


async def test_a_component_that_leaves_before_the_answer_gives_its_place_back(node: Node) -> None:
    component = await Component.shakes_hands(node)
    asked = await node.worker.hears(Attach)
    await component.wire.close()
    assert await node.worker.hears(Detached) == Detached(MONTAGUE, asked.stream)
    node.worker.send(AttachAnswer(asked.request, True))
    node.worker.send(Dial(DomainPair(MONTAGUE, "nobody.invalid")))
    await node.worker.hears(Dialling)
    assert not any(isinstance(frame, Attached) for frame in node.worker.heard)


# --- stanzas in ---


async def test_a_run_goes_to_its_shard_once_for_each_pair(node: Node) -> None:
    component = await Component.attached(node)
    one, two = message(MONTAGUE, CAPULET, 1), message(MONTAGUE, CAPULET, 2)
    elsewhere = message(MONTAGUE, TYBALT, 3)
    await component.wire.send(one + two)
    first = await node.worker.hears(Data)
    await component.wire.send(one + elsewhere)
    again = await node.worker.hears(Data, pair=OUTWARD)
    other = await node.worker.hears(Data)
    assert (first.pair, first.counts, first.octets) == (
        OUTWARD,
        Counts(2, 0, 0),
        (one + two).encode(),
    )
    assert (first.first, first.epoch, first.generation, first.egress) == (1, 1, 1, None)
    assert (again.lane, again.first) == (first.lane, 3)
    assert (other.pair, other.first) == (DomainPair(MONTAGUE, TYBALT), 1)
    assert other.lane != first.lane
    assert node.counts("causeway_stanzas_total", "message", "component", "in") == 4
    assert node.counts("causeway_stanzas_in_flight") == node.acceptor.pending() == 4


async def test_what_a_worker_rejects_comes_back_to_its_sender(node: Node) -> None:
    component = await Component.attached(node)
    (stream,) = node.acceptor.connections()
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    node.worker.send(Reject(data.lane, data.epoch, 1, 1, "remote-server-not-found", "cancel", "no"))
    back = await node.worker.hears(Data, pair=INWARD)
    node.worker.send(forward(OWN, back, stream.number))
    assert "remote-server-not-found" in await component.wire.until("</message>")
    await eventually(lambda: not node.acceptor.pending())
    assert node.counts("causeway_stanza_outcomes_total", "bounced") == 1
    assert node.counts("causeway_stanza_outcomes_total", "handed") == 0


async def test_a_stanza_the_stream_refuses_is_answered_at_once(node: Node) -> None:
    component = await Component.attached(node)
    await component.wire.send(f"<iq from='{MONTAGUE}' to='{CAPULET}' id='1'/>")
    back = await node.worker.hears(Data)
    assert back.pair == INWARD
    assert b"<bad-request " in back.octets
    assert node.counts("causeway_stanzas_total", "iq", "component", "in") == 1
    assert node.counts("causeway_stanza_outcomes_total", "bounced") == 1


# --- stanzas out ---


async def test_a_forwarded_run_is_written_and_its_owner_hears_that_it_arrived(
    node: Node, capulet: Peer
) -> None:
    component = await Component.attached(node)
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    assert granted == Granted(granted.stream, OUTWARD, False, "external")
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    node.worker.send(forward(OWN, data, granted.stream))
    assert "id='1'" in await wire.until("</message>")
    await eventually(lambda: not node.acceptor.pending())
    assert node.counts("causeway_stanza_outcomes_total", "handed") == 1
    assert node.counts("causeway_stanzas_total", "message", "s2s", "out") == 1
    assert node.counts("causeway_bidi_reuse_total") == 1
    assert node.counts("causeway_s2s_streams", "in", "external", "true") == 1


@pytest.mark.parametrize("stream", ["unknown", "not granted"])
async def test_a_run_that_cannot_leave_there_is_routed_anew(
    node: Node, capulet: Peer, stream: str
) -> None:
    component = await Component.attached(node)
    await capulet.authenticated(node.s2s_port, bidi=False)
    await eventually(lambda: node.counts("causeway_s2s_authenticated_total", "external"))
    (there,) = [each for each in node.acceptor.connections() if each.leg == "s2s"]
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    node.worker.send(forward(OWN, data, 999 if stream == "unknown" else there.number))
    again = await node.worker.hears(Data)
    assert (again.lane, again.first, again.epoch) == (data.lane, 1, 2)
    assert again.octets == data.octets
    assert there.stanzas_out == 0


@pytest.mark.clause("BIDI-23")
async def test_a_stream_that_begins_to_close_is_revoked_at_once(node: Node, capulet: Peer) -> None:
    """Not only when the peer has answered: until then nothing could leave on it."""
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    (connection,) = node.acceptor.connections()
    connection.close()
    assert await node.worker.hears(Revoked) == Revoked(granted.stream, OUTWARD)
    assert connection.end is None
    other = node.new_worker("w1.1")
    await node.owned_by(other)
    assert node.announced_to(other) == []
    await wire.send(END)
    await wire.ended()
    await eventually(lambda: not node.acceptor.connections())
    assert not any(isinstance(frame, Revoked) for frame in [*node.worker.heard, *other.heard])
    assert node.counts("causeway_s2s_closed_total", "in", "none") == 1
    other.close()


@pytest.mark.clause("BIDI-23")
async def test_a_lane_whose_stream_has_closed_is_routed_anew_from_where_it_got_to(
    node: Node, capulet: Peer
) -> None:
    component = await Component.attached(node)
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    node.worker.send(forward(OWN, await node.worker.hears(Data), granted.stream))
    await wire.until("</message>")
    (stream,) = [each for each in node.acceptor.connections() if each.leg == "s2s"]
    stream.close()
    await component.wire.send(message(MONTAGUE, CAPULET, 2))
    node.worker.send(forward(OWN, await node.worker.hears(Data), granted.stream))
    await wire.send(END)
    again = await node.worker.hears(Data)
    assert (again.first, again.epoch) == (2, 2)
    assert "id='2'" not in await wire.ended()
    assert node.counts("causeway_stanza_outcomes_total", "handed") == 1
    assert node.counts("causeway_stanzas_in_flight") == 1


async def test_a_stream_that_breaks_off_is_revoked_and_counted_as_lost(
    node: Node, capulet: Peer
) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    wire.abort()
    assert await node.worker.hears(Revoked) == Revoked(granted.stream, OUTWARD)
    await eventually(lambda: node.counts("causeway_s2s_closed_total", "in", "lost") == 1)


async def test_a_retired_stream_is_closed_in_order(node: Node, capulet: Peer) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    node.worker.send(Retire(999, OUTWARD))
    node.worker.send(Retire(granted.stream, OUTWARD))
    await wire.until(END)
    await node.worker.hears(Revoked, stream=granted.stream)
    assert "stream:error" not in wire.received


# --- the rest ---


async def test_a_lane_that_has_ended_is_forgotten_where_it_left(node: Node, capulet: Peer) -> None:
    component = await Component.attached(node)
    await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    node.worker.send(forward(OWN, data, granted.stream))
    await eventually(lambda: not node.acceptor.pending())
    (egress,) = [each for each in node.acceptor.connections() if each.leg == "s2s"]
    await component.wire.send(END)
    await component.wire.ended()
    one_more = forward(OWN, replace(data, first=2), egress.number)
    await eventually(lambda: egress.outlet.decline(one_more) is not None)


async def test_a_frame_that_is_not_for_acceptors_is_dropped(node: Node) -> None:
    node.worker.send(Attached(MONTAGUE, 5))
    node.worker.send(Dial(DomainPair(MONTAGUE, "nobody.invalid")))
    await node.worker.hears(Dialling)


async def test_nobody_is_dialled_after_the_drain_began(node: Node) -> None:
    node.acceptor.begin_drain()
    node.worker.send(Dial(OUTWARD))
    assert (await node.worker.hears(DialFailed)).condition == "remote-server-timeout"
