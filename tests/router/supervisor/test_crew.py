"""Who is replaced when, and what everybody is told of it, over fake processes."""

from typing import Any

import pytest

from tests.router.supervisor.conftest import StartNode
from tests.support.eventually import eventually

pytestmark = pytest.mark.processes


async def test_an_acceptor_that_asks_to_end_is_replaced_first(start_node: StartNode) -> None:
    node = start_node(acceptor="leave")
    await eventually(lambda: node.ready() >= {"a0.2"} and "a0.1" not in node.ready(), limit_s=10)
    drains = [m["phase"] for m in node.heard("Drain") if m["id"] == "a0.1"]
    assert drains == [0, 1, 2, 3, 4, 5]
    both = [m for m in node.heard("Membership") if "a0.1" in m["retiring"]]
    assert {name for name, _ in both[0]["acceptors"]} == {"a0.1", "a0.2"}
    await eventually(lambda: node.heard("Membership")[-1]["retiring"] == [])


async def test_a_worker_that_asks_to_end_gives_its_shards_away_first(start_node: StartNode) -> None:
    node = start_node(worker="leave")
    await eventually(lambda: node.ready() >= {"w0.2", "w1.2"}, limit_s=10)
    await eventually(lambda: not node.ready() & {"w0.1", "w1.1"}, limit_s=10)
    assert {m["phase"] for m in node.heard("Drain") if m["id"][0] == "w"} == {5}
    owners = [set(m["owners"]) - {""} for m in node.heard("Membership")]
    begun = next(place for place, each in enumerate(owners) if each)
    assert all(len(each) == 1 for each in owners[begun:]), "never without an owner again"


async def test_a_process_of_the_version_before_is_spoken_to_in_it_and_named_to_all(
    start_node: StartNode,
) -> None:
    node = start_node(acceptor="earlier", worker="learn")
    await node.until_complete()

    def told(role: str) -> list[dict[str, Any]]:
        return [m for m in node.heard("Membership") if m["id"].startswith(role)]

    await eventually(lambda: [["a0.1", 1]] in [m["speaks"] for m in told("w")])
    await eventually(lambda: any(m["acceptors"] for m in told("a0.1")))
    assert not any(m["speaks"] for m in told("a0.1")), "its form has no such field"
    assert not [m for m in node.heard("PeerFacts") if m["id"] == "a0.1"]


async def test_workers_that_crashed_are_known_to_all(start_node: StartNode) -> None:
    node = start_node(worker="crash")
    await eventually(
        lambda: any(
            {"w0.1", "w1.1"} <= set(m["crashed"])
            for m in node.heard("Membership")
            if m["id"] == "a0.1"
        ),
        limit_s=10,
    )
    await node.until_ready("w0.2", "w1.2")
