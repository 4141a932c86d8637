"""A restart of all processes, one after another, over fake ones."""

import pytest

from tests.router.supervisor.conftest import Node, StartNode
from tests.support.eventually import eventually

pytestmark = pytest.mark.processes


def state(node: Node) -> str:
    return str(node.supervisor.restarting()["state"])


async def test_every_process_is_replaced_and_ends_well(start_node: StartNode) -> None:
    node = start_node()
    await node.until_complete()
    assert state(node) == ""
    spare = next(p.id for p in node.supervisor.processes() if p.state == "spare")
    assert node.supervisor.restart()
    assert not node.supervisor.restart(), "one at a time"
    await eventually(lambda: state(node) != "running", limit_s=20)
    progress = node.supervisor.restarting()
    assert progress["state"] == "done"
    steps = progress["steps"]
    assert [step["process"] for step in steps[:2]] == ["a0.1", spare]
    assert {step["how"] for step in steps} == {"exit code 0"}
    assert node.ready() == {"a0.2", "w0.2", "w1.2"} == {step["replacement"] for step in steps}
    owned = [m["owners"] for m in node.heard("Membership")]
    assert spare not in {owner for owners in owned for owner in owners}, "shards move once"
    totals = node.supervisor.totals()
    assert totals["causeway_process_restarts_total"][("acceptor",)] == 0, "nobody died"
    assert not node.supervisor.not_ready()


async def test_one_that_cannot_be_replaced_serves_on(start_node: StartNode) -> None:
    node = start_node(acceptor="once")
    await node.until_complete()
    assert node.supervisor.restart()
    await eventually(lambda: state(node) == "failed", limit_s=20)
    assert node.supervisor.restarting()["steps"][0]["process"] == "a0.1"
    assert "a0.1" in node.ready()
    assert not node.heard("Drain")
    assert not node.supervisor.not_ready()
