"""One whole acceptor at its bounds: no place for more, full queues, a worker with an old table."""

from router.config import Limits
from router.wire.frames import Data, Detached, Dial, DialFailed, Forward, Reject, Revoked
from router.xmpp.stanza import Counts
from tests.support.acceptor_node import OUTWARD, OWN, Component, Node, StartNode
from tests.support.eventually import eventually
from tests.support.nodes import CAPULET, MONTAGUE


async def test_no_more_connections_than_there_may_be_but_components_have_a_place(
    start: StartNode,
) -> None:
    node = await start(limits=Limits(connections=2, component_grace_s=0))
    first, second = await node.wire(node.s2s_port), await node.wire(node.s2s_port)
    await eventually(lambda: len(node.acceptor.connections()) == 2)
    third = await node.wire(node.s2s_port)
    assert await third.ended() == ""
    assert node.counts("causeway_overloaded_acceptors", "crowded") == 1
    await Component.attached(node)
    node.worker.send(Dial(OUTWARD))
    failed = await node.worker.hears(DialFailed, pair=OUTWARD)
    assert failed.condition == "resource-constraint"
    await first.close()
    await second.close()
    await eventually(lambda: len(node.acceptor.connections()) == 1)
    fourth = await node.wire(node.s2s_port)
    await eventually(lambda: len(node.acceptor.connections()) == 2)
    assert node.counts("causeway_overloaded_acceptors", "crowded") == 0
    await fourth.close()


async def test_a_worker_that_forwards_to_a_stream_that_is_gone_learns_it_and_the_run_returns(
    node: Node,
) -> None:
    run = Forward(OWN, 5, 1, 1, Counts(1, 0, 0), OUTWARD, node.generation, 999, 0, b"<message/>")
    node.worker.send(run)
    assert await node.worker.hears(Revoked) == Revoked(999, OUTWARD)
    assert await node.worker.hears(Detached) == Detached(OUTWARD.target, 999)


async def test_while_its_queues_are_full_it_takes_no_strangers_and_then_it_does_again(
    start: StartNode,
) -> None:
    node = await start(limits=Limits(retention_bytes=2048, output_total_bytes=2048))
    component = await Component.attached(node)
    text = "x" * 3000
    await component.wire.send(
        f"<message from='a@{MONTAGUE}' to='b@{CAPULET}'><body>{text}</body></message>"
    )
    data = await node.worker.hears(Data)
    await eventually(lambda: node.counts("causeway_overloaded_acceptors", "full") == 1)
    assert await (await node.wire(node.s2s_port)).ended() == ""
    refusal = ("remote-server-not-found", "cancel", "nobody")
    node.worker.send(Reject(data.lane, data.epoch, data.first, 1, *refusal))
    answer = await node.worker.hears(Data)
    node.worker.send(Reject(answer.lane, answer.epoch, answer.first, 1, *refusal))
    await eventually(lambda: node.counts("causeway_overloaded_acceptors") == 0)
    wire = await node.wire(node.s2s_port)
    await eventually(lambda: len(node.acceptor.connections()) == 2)
    await wire.close()
