"""The processes of the node, to show."""

from dataclasses import dataclass

from router.supervisor.membership import Seating
from router.supervisor.processes import Child, Processes, Role


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One process: "starting", "ready", "spare" or "retiring", and how many shards it owns."""

    id: str
    role: Role
    pid: int
    state: str
    shards: int
    age_s: float


def process_views(processes: Processes, seating: Seating, now_s: float) -> list[ProcessView]:
    """The living, acceptors first, by slot; `now_s` is the event loop's time."""
    owners = seating.owners
    return [
        ProcessView(
            child.id,
            child.role,
            child.pid,
            _state(child, seating),
            owners.count(child.id),
            now_s - child.started_s,
        )
        for child in (*processes.of("acceptor"), *processes.of("worker"))
    ]


def _state(child: Child, seating: Seating) -> str:
    if not child.is_ready:
        return "starting"
    if child.retiring:
        return "retiring"
    return "spare" if child.id in seating.spares else "ready"
