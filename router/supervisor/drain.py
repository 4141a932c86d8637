"""The whole-node drain: which process ends what, in which order, and how long it may take.

The phases are those of `control.Drain`. Called once by the supervisor, which from then on replaces
no acceptor; a worker that dies is still replaced until it is its turn to end.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from router.supervisor.processes import Processes, Role
from router.wire.control import DRAIN_BEGIN, DRAIN_END, Drain

Wait = Callable[[Callable[[], bool], float], Awaitable[None]]
"""Wait until the condition holds, for at most so many seconds."""

PHASE_LIMITS_S: Final = {0: 3.0, 1: 6.0, 2: 6.0, 3: 6.0, 4: 15.0}
PHASES_LIMIT_S: Final = 15.0
"""What the early phases leave over is for the last."""
END_LIMITS_S: Final[dict[Role, float]] = {"acceptor": 2.0, "worker": 1.0}
KILL_LIMIT_S: Final = 0.5


async def drain(processes: Processes, wait: Wait, clock: Callable[[], float]) -> None:
    """End all processes in order, in less than 20 s; SIGKILL is for those that did not follow.

    `clock` gives seconds.
    """
    phases_end_s = clock() + PHASES_LIMIT_S
    for acceptor in processes.of("acceptor"):
        if not acceptor.is_ready:
            acceptor.kill()  # it serves nobody yet
    for worker in processes.of("worker"):
        worker.send(Drain(DRAIN_BEGIN))  # nobody attaches any more: what waits for that need not
    for phase, limit_s in PHASE_LIMITS_S.items():
        for acceptor in processes.of("acceptor"):
            acceptor.send(Drain(phase))
        await wait(partial(_drained, processes, phase), min(limit_s, phases_end_s - clock()))
    for role, limit_s in END_LIMITS_S.items():
        for child in processes.of(role):
            child.dismissed = True
            child.send(Drain(DRAIN_END))
            if child.link is None:
                child.kill()
        await wait(partial(_ended, processes, role), limit_s)
        for child in processes.of(role):
            child.kill()
    await wait(lambda: not any(map(processes.of, END_LIMITS_S)), KILL_LIMIT_S)


def _drained(processes: Processes, phase: int) -> bool:
    return all(acceptor.drained >= phase for acceptor in processes.of("acceptor"))


def _ended(processes: Processes, role: Role) -> bool:
    return not processes.of(role)
