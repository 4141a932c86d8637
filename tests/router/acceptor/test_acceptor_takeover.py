"""What an acceptor tells the new owner of its shards, and what the death of another one means."""

from dataclasses import replace

from router.wire.frames import (
    Attach,
    Attached,
    Data,
    Dial,
    Dialling,
    Forward,
    Granted,
    Joined,
    Progress,
    Returned,
    Verify,
)
from router.wire.shard import SHARDS
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptor_node import INWARD, OUTWARD, OWN, Component, Node, Other
from tests.support.acceptors import forward
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE, TYBALT, VERONA
from tests.support.scripted_peer import (
    Peer,
    message,
)

# --- a new owner of the shards ---


async def test_a_new_owner_hears_of_everything_before_the_stanzas(
    node: Node, capulet: Peer, tybalt: Peer
) -> None:
    attached = await Component.attached(node)
    await Component.shakes_hands(node, VERONA)
    asked = await node.worker.hears(Attach, domain=VERONA)
    await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    questioned = await tybalt.secured(node.s2s_port)
    await questioned.send(f"<db:result from='{TYBALT}' to='{MONTAGUE}'>key</db:result>")
    verify = await node.worker.hears(Verify)
    node.worker.send(Dial(DomainPair(VERONA, CAPULET)))
    dialling = await node.worker.hears(Dialling)
    await attached.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    serving = next(each for each in node.acceptor.connections() if each.leg == "component")

    other = node.new_worker("w1.1")
    await node.owned_by(other)
    announced = node.announced_to(other)
    assert sorted(map(repr, announced)) == sorted(
        map(repr, [Attached(MONTAGUE, serving.number), asked, granted, verify, dialling])
    )
    again = await other.hears(Data)
    assert again == replace(data, generation=node.version)
    other.close()


async def test_a_key_whose_stream_is_gone_is_asked_no_more(node: Node, tybalt: Peer) -> None:
    wire = await tybalt.secured(node.s2s_port)
    await wire.send(f"<db:result from='{TYBALT}' to='{MONTAGUE}'>key</db:result>")
    await node.worker.hears(Verify)
    await wire.close()
    await eventually(lambda: not node.acceptor.connections())
    other = node.new_worker("w1.1")
    await node.owned_by(other)
    assert node.announced_to(other) == []
    other.close()


async def test_what_has_a_stream_needs_no_worker(node: Node, capulet: Peer) -> None:
    component = await Component.attached(node)
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    node.worker.send(forward(OWN, await node.worker.hears(Data), granted.stream))
    await eventually(lambda: not node.acceptor.pending())
    node.owned(("",) * SHARDS)
    await component.wire.send(message(MONTAGUE, CAPULET, 2))
    await wire.until("id='2'")
    await eventually(lambda: not node.acceptor.pending())
    other = node.new_worker("w1.1")
    await node.owned_by(other)
    await component.wire.send(message(MONTAGUE, "verona.example", 3))
    assert (await other.hears(Data)).pair.target == "verona.example", "nothing else came before"
    other.close()


# --- other acceptors ---


async def test_what_an_acceptor_took_is_in_doubt_when_it_dies(node: Node, other: Other) -> None:
    component = await Component.attached(node)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    await component.wire.send(message(MONTAGUE, CAPULET, 2))
    await node.worker.hears(Data)
    other.send(Progress(data.lane, 1, 5, took=1, done=0, level="tcp"))
    other.send(Dial(OUTWARD))  # on the same link: once it is heard, so was the report
    await node.worker.hears(Dialling)
    node.others = ()
    node.owned((node.worker.name,) * SHARDS)
    node.worker.send(Returned(data.lane, 1, 0, 1))
    node.worker.send(Joined(node.version))
    bounce = await node.worker.hears(Data, pair=INWARD)
    assert b"<remote-server-timeout " in bounce.octets
    again = await node.worker.hears(Data)
    assert (again.first, again.epoch, again.egress) == (2, 2, None)
    assert node.counts("causeway_stanza_outcomes_total", "bounced") == 1


async def test_what_follows_goes_straight_to_the_other_and_is_in_doubt_as_well(
    node: Node, other: Other
) -> None:
    component = await Component.attached(node)
    await component.wire.send(message(MONTAGUE, CAPULET, 1))
    data = await node.worker.hears(Data)
    other.send(Progress(data.lane, 1, 5, took=1, done=1, level="tcp"))
    await eventually(lambda: not node.acceptor.pending())
    await component.wire.send(message(MONTAGUE, CAPULET, 2))
    await eventually(lambda: any(isinstance(frame, Forward) for frame in other.told))
    (run,) = (frame for frame in other.told if isinstance(frame, Forward))
    assert (run.owner, run.lane, run.first, run.after, run.stream) == (OWN, data.lane, 2, 1, 5)
    node.others = ()
    node.owned((node.worker.name,) * SHARDS)
    node.worker.send(Joined(node.version))
    bounce = await node.worker.hears(Data, pair=INWARD)
    assert b"<remote-server-timeout " in bounce.octets
    assert b' id="2"' in bounce.octets


async def test_runs_of_another_acceptor_are_reported_to_it_until_it_dies(
    node: Node, other: Other, capulet: Peer
) -> None:
    wire = await capulet.authenticated(node.s2s_port)
    granted = await node.worker.hears(Granted)
    octets = message(MONTAGUE, CAPULET, 1).encode()
    data = Data(5, 1, 1, Counts(1, 0, 0), OUTWARD, node.generation, None, octets)
    node.worker.send(forward(other.name, data, granted.stream))
    await wire.until("</message>")
    await eventually(lambda: Progress(5, 1, granted.stream, 1, 1, "tcp") in other.told)
    (stream,) = node.acceptor.connections()
    assert stream.outlet.decline(forward(other.name, data, stream.number)) is None
    node.others = ()
    await node.owned_by(node.worker)
    assert stream.outlet.decline(forward(other.name, data, stream.number)) is not None
