"""What is shown of processes."""

from typing import cast

from router.supervisor.membership import Seating
from router.supervisor.processes import Child, Processes, Role
from router.supervisor.views import process_views
from router.wire.shard import SHARDS


class Pretended:
    def __init__(self, *children: Child) -> None:
        self._children = children

    def of(self, role: Role) -> list[Child]:
        return [child for child in self._children if child.role == role]


def child(role: Role, slot: int, *, ready: bool = True, retiring: bool = False) -> Child:
    ready_s = 11.0 if ready else None
    return Child(role, slot, 1, 70 + slot, -1, None, 10.0, 12.0, ready_s, retiring=retiring)


def test_states_and_shards() -> None:
    children = (
        child("worker", 0),
        child("worker", 1),
        child("acceptor", 0, retiring=True),
        child("acceptor", 1, ready=False),
        child("acceptor", 2),
    )
    seating = Seating.vacant(1).arrived("w0.1").arrived("w1.1")
    shown = process_views(cast(Processes, Pretended(*children)), seating, 15.0)
    assert [(each.id, each.state, each.shards) for each in shown] == [
        ("a0.1", "retiring", 0),
        ("a1.1", "starting", 0),
        ("a2.1", "ready", 0),
        ("w0.1", "ready", SHARDS),
        ("w1.1", "spare", 0),
    ]
    assert (shown[0].pid, shown[0].age_s) == (70, 5.0)
