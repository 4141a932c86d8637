"""Managed streams on one whole acceptor: real sockets to a scripted peer, a scripted worker."""

import pytest

from router.config import Delivery
from router.wire.frames import Data, Dial, Granted, Reject, Resume, ResumeAnswer
from router.xmpp import names
from router.xmpp.pair import DomainPair
from tests.support.acceptor_node import (
    INWARD,
    OUTWARD,
    OWN,
    Component,
    Node,
    Other,
    StartNode,
)
from tests.support.acceptors import forward
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, TYBALT
from tests.support.scripted_peer import (
    BIDI_FEATURE,
    END,
    EXTERNAL_FEATURE,
    SUCCESS,
    Peer,
    Wire,
    features,
    header,
    message,
)

SM = f"xmlns='{names.STREAM_MANAGEMENT}'"
ENABLE, R = f"<enable {SM} resume='true'/>", f"<r {SM}/>"
OUTCOMES = "causeway_stanza_outcomes_total"


def ack(h: int) -> str:
    return f"<a {SM} h='{h}'/>"


async def heard(wire: Wire, start: str) -> str:
    """The next element of stream management of this name, quotes made alike."""
    await wire.until(f"<{start} ")
    return f"<{start} {await wire.until('/>')}".replace('"', "'")


async def opened(node: Node, capulet: Peer, *, dial: bool = True) -> tuple[Wire, int]:
    """The node's next stream to Capulet, which offers management: the wire, and its number."""
    if dial:
        node.worker.send(Dial(OUTWARD))
    wire = await capulet.greet(EXTERNAL_FEATURE, BIDI_FEATURE)
    await wire.until("</auth>")
    await wire.send(SUCCESS)
    await wire.until("<stream:stream")
    await wire.until(">")
    await wire.send(header(CAPULET, MONTAGUE, id="open") + features(f"<sm {SM}/>"))
    granted = await node.worker.hears(Granted, pair=OUTWARD)
    return wire, granted.stream


async def sent(node: Node, component: Component, number: int, stream: int) -> Data:
    """A stanza of the component's that the worker sends on to a stream."""
    await component.wire.send(message(MONTAGUE, CAPULET, number))
    data = await node.worker.hears(Data, pair=OUTWARD)
    node.worker.send(forward(OWN, data, stream))
    return data


async def managed(node: Node, capulet: Peer, *, resume: str = "resume='true' ") -> tuple[Wire, int]:
    wire, stream = await opened(node, capulet)
    assert await heard(wire, "enable") == f"<enable {SM} resume='true'/>"
    await wire.send(f"<enabled {SM} {resume}id='former'/>")
    return wire, stream


@pytest.mark.clause("SMX-04", "SMX-08")
async def test_a_stanza_is_handed_over_when_the_peer_says_so(node: Node, capulet: Peer) -> None:
    component = await Component.attached(node)
    wire, stream = await managed(node, capulet)
    await sent(node, component, 1, stream)
    await wire.until("</message>")
    assert await heard(wire, "r") == R
    assert node.counts(OUTCOMES) == 0
    await wire.send(ack(1))
    await eventually(lambda: node.counts(OUTCOMES, "handed") == 1)


@pytest.mark.clause("SMX-08")
async def test_a_stream_that_ends_in_order_leaves_nothing_in_doubt(
    node: Node, capulet: Peer
) -> None:
    component = await Component.attached(node)
    wire, stream = await managed(node, capulet)
    await sent(node, component, 1, stream)
    await wire.until("</message>")
    await wire.send(END)
    await eventually(lambda: node.counts(OUTCOMES, "handed") == 1)
    assert not node.acceptor.pending()


@pytest.mark.clause("SMX-08")
async def test_what_was_not_counted_is_in_doubt_when_the_stream_is_lost(
    node: Node, capulet: Peer
) -> None:
    component = await Component.attached(node)
    wire, stream = await managed(node, capulet, resume="")
    for number in (1, 2, 3):
        await sent(node, component, number, stream)
        await wire.until("</message>")
    await wire.send(ack(2))
    await eventually(lambda: node.counts(OUTCOMES, "handed") == 2)
    wire.abort()
    bounced = await node.worker.hears(Data, pair=INWARD)
    assert b'id="3"' in bounced.octets
    assert b"delivery unknown" in bounced.octets
    assert node.counts(OUTCOMES, "bounced") == 1


@pytest.mark.clause("SMX-08")
async def test_by_policy_it_goes_out_again_in_order(start: StartNode, capulet: Peer) -> None:
    node = await start(delivery=Delivery(in_doubt="resend"))
    component = await Component.attached(node)
    wire, stream = await managed(node, capulet, resume="")
    for number in (1, 2, 3):
        await sent(node, component, number, stream)
        await wire.until("</message>")
    await wire.send(ack(1))
    await eventually(lambda: node.counts(OUTCOMES, "handed") == 1)
    wire.abort()
    again = [await node.worker.hears(Data, pair=OUTWARD, epoch=2) for _ in range(2)]
    assert [data.first for data in again] == [2, 3]
    assert node.counts(OUTCOMES, "bounced") == 0


@pytest.mark.clause("SMX-09")
async def test_a_lost_stream_of_ours_is_gone_on_with(node: Node, capulet: Peer) -> None:
    """Of five stanzas the peer had three: it says so, and the other two are sent anew."""
    component = await Component.attached(node)
    wire, stream = await managed(node, capulet)
    await component.wire.send("".join(message(MONTAGUE, CAPULET, n) for n in range(1, 6)))
    data = await node.worker.hears(Data, pair=OUTWARD)
    node.worker.send(forward(OWN, data, stream))
    await wire.until("id='5'")
    wire.abort()
    wire, stream = await opened(node, capulet, dial=False)
    assert await heard(wire, "resume") == f"<resume {SM} previd='former' h='0'/>"
    assert node.counts(OUTCOMES) == 0
    await wire.send(f"<resumed {SM} previd='former' h='3'/>")
    again = await node.worker.hears(Data, pair=OUTWARD, epoch=2)
    assert (again.first, again.counts.total) == (4, 2)
    node.worker.send(forward(OWN, again, stream))
    await wire.until("id='5'")
    await wire.send(ack(5))
    await eventually(lambda: node.counts(OUTCOMES, "handed") == 5)
    assert node.counts(OUTCOMES, "bounced") == 0


@pytest.mark.clause("SMX-09")
async def test_a_lost_stream_that_the_peer_does_not_know_leaves_its_stanzas_in_doubt(
    node: Node, capulet: Peer
) -> None:
    component = await Component.attached(node)
    wire, stream = await managed(node, capulet)
    await sent(node, component, 1, stream)
    await wire.until("</message>")
    wire.abort()
    wire, _ = await opened(node, capulet, dial=False)
    await heard(wire, "resume")
    await wire.send(f"<failed {SM}><item-not-found xmlns='{names.STANZA_ERRORS}'/></failed>")
    assert await heard(wire, "enable") == ENABLE
    bounced = await node.worker.hears(Data, pair=INWARD)
    assert b"delivery unknown" in bounced.octets


@pytest.mark.clause("SMX-09")
async def test_a_peer_goes_on_with_its_lost_stream(node: Node, capulet: Peer) -> None:
    wire = await capulet.authenticated(node.s2s_port, bidi=False)
    await wire.send(ENABLE)
    sm_id = (await heard(wire, "enabled")).split(" id='")[1].split("'")[0]
    await wire.send(message(CAPULET, MONTAGUE, 1) + message(CAPULET, MONTAGUE, 2))
    data = await node.worker.hears(Data)
    wire.abort()
    await eventually(lambda: not node.acceptor.connections())
    wire = await capulet.authenticated(node.s2s_port, bidi=False)
    await wire.send(f"<resume {SM} previd='{sm_id}' h='0'/>{R}")
    assert await heard(wire, "resumed") == f"<resumed {SM} previd='{sm_id}' h='2'/>"
    reject = Reject(data.lane, data.epoch, 1, 2, "service-unavailable", "cancel", "")
    node.worker.send(reject)
    await eventually(lambda: node.counts(OUTCOMES, "bounced") == 2)
    await wire.send(R)
    assert await heard(wire, "a") == ack(2)


@pytest.mark.clause("SMX-09")
async def test_a_stream_that_only_the_peer_has_lost_gives_way(node: Node, capulet: Peer) -> None:
    former = await capulet.authenticated(node.s2s_port, bidi=False)
    await former.send(ENABLE)
    sm_id = (await heard(former, "enabled")).split(" id='")[1].split("'")[0]
    await former.send(message(CAPULET, MONTAGUE, 1))
    await node.worker.hears(Data)
    wire = await capulet.authenticated(node.s2s_port, bidi=False)
    await wire.send(f"<resume {SM} previd='{sm_id}' h='0'/>")
    assert await heard(wire, "resumed") == f"<resumed {SM} previd='{sm_id}' h='1'/>"
    assert "<conflict " in await former.ended()


@pytest.mark.clause("SMX-09")
async def test_nobody_else_goes_on_with_it(node: Node, capulet: Peer, tybalt: Peer) -> None:
    wire = await capulet.authenticated(node.s2s_port, bidi=False)
    await wire.send(ENABLE)
    sm_id = (await heard(wire, "enabled")).split(" id='")[1].split("'")[0]
    tybalt.presents_certificate = True
    stranger = await tybalt.authenticated(node.s2s_port, bidi=False)
    for previd in (sm_id, "", "unknown"):
        await stranger.send(f"<resume {SM} previd='{previd}' h='0'/>")
        await stranger.until("item-not-found")
        await stranger.until("</failed>")
    wire.abort()
    await eventually(lambda: len(node.acceptor.connections()) == 1)
    await stranger.send(f"<resume {SM} previd='{sm_id}' h='0'/>")
    await stranger.until("item-not-found")


@pytest.mark.clause("SMX-01")
async def test_it_may_be_switched_off(start: StartNode, capulet: Peer) -> None:
    node = await start(delivery=Delivery(stream_management=False))
    wire, _ = await opened(node, capulet)
    wire_in = await capulet.authenticated(node.s2s_port)
    for each in (wire, wire_in):
        assert names.STREAM_MANAGEMENT not in each.received


# --- a peer that comes back to another acceptor ---


async def lost_by(node: Node, capulet: Peer) -> str:
    """The SM-ID of a stream on which two stanzas had come when it was lost."""
    wire = await capulet.authenticated(node.s2s_port, bidi=False)
    await wire.send(ENABLE)
    sm_id = (await heard(wire, "enabled")).split(" id='")[1].split("'")[0]
    await wire.send(message(CAPULET, MONTAGUE, 1) + message(CAPULET, MONTAGUE, 2))
    await node.worker.hears(Data)
    wire.abort()
    await eventually(lambda: not node.acceptor.connections())
    return sm_id


@pytest.mark.clause("SMX-09")
async def test_another_acceptor_asks_what_came_on_a_lost_stream(
    node: Node, other: Other, capulet: Peer
) -> None:
    sm_id = await lost_by(node, capulet)
    other.send(Resume(1, sm_id, DomainPair(MONTAGUE, TYBALT), 0))
    other.send(Resume(2, sm_id, OUTWARD, 0))
    other.send(Resume(3, sm_id, OUTWARD, 0))
    answers = [ResumeAnswer(1, False, 0), ResumeAnswer(2, True, 2), ResumeAnswer(3, False, 0)]
    await eventually(lambda: [f for f in other.told if isinstance(f, ResumeAnswer)] == answers)


@pytest.mark.clause("SMX-09")
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_stream_lost_at_another_acceptor_is_asked_about_there(
    node: Node, other: Other, capulet: Peer, is_known: bool
) -> None:
    wire = await capulet.authenticated(node.s2s_port, bidi=False)
    await wire.send(f"<resume {SM} previd='former' h='4'/>")
    await wire.send(message(CAPULET, MONTAGUE, 1) + R)
    await eventually(lambda: any(isinstance(f, Resume) for f in other.told))
    (asked,) = [frame for frame in other.told if isinstance(frame, Resume)]
    assert (asked.sm_id, asked.pair, asked.received) == ("former", OUTWARD, 4)
    other.send(ResumeAnswer(asked.request, is_known, 40))
    await wire.until("<resumed " if is_known else "item-not-found")


@pytest.mark.clause("SMX-09")
async def test_an_acceptor_that_dies_knows_of_no_lost_stream(
    node: Node, other: Other, capulet: Peer
) -> None:
    wire = await capulet.authenticated(node.s2s_port, bidi=False)
    await wire.send(f"<resume {SM} previd='former' h='4'/>")
    await eventually(lambda: any(isinstance(f, Resume) for f in other.told))
    node.others = ()
    await node.owned_by(node.worker)
    await wire.until("item-not-found")
