"""The order of the drain, with processes that are only pretended."""

from collections.abc import Callable
from typing import cast

from router.supervisor.drain import END_LIMITS_S, KILL_LIMIT_S, PHASES_LIMIT_S, drain
from router.supervisor.processes import Processes
from router.wire.control import DRAIN_END, Drain, Message


class Pretended:
    def __init__(self, fleet: "Fleet", name: str, *, ready: bool = True, obeys: bool = True):
        self.fleet, self.name, self.is_ready, self.obeys = fleet, name, ready, obeys
        self.link = object() if ready else None
        self.drained = -1
        self.dismissed = False

    def send(self, message: Message) -> None:
        assert isinstance(message, Drain)
        self.fleet.story.append(f"{self.name} {message.phase}")
        if self.obeys:
            self.drained = message.phase
            if message.phase == DRAIN_END:
                self.fleet.members.remove(self)

    def kill(self) -> None:
        self.fleet.story.append(f"{self.name} killed")
        self.fleet.members.remove(self)


class Fleet:
    """What `drain` uses of Processes."""

    def __init__(self) -> None:
        self.members: list[Pretended] = []
        self.story: list[str] = []
        self.waited_s = 0.0

    def of(self, role: str) -> list[Pretended]:
        return [member for member in self.members if member.name[0] == role[0]]

    async def wait(self, done: Callable[[], bool], limit_s: float) -> None:
        if not done():
            self.waited_s += limit_s


async def drained(fleet: Fleet) -> list[str]:
    await drain(cast(Processes, fleet), fleet.wait, lambda: fleet.waited_s)
    assert not fleet.members
    return fleet.story


async def test_acceptors_phase_by_phase_then_workers() -> None:
    fleet = Fleet()
    fleet.members = [Pretended(fleet, name) for name in ("a0", "a1", "w0")]
    assert await drained(fleet) == [
        "w0 1",
        *(f"{acceptor} {phase}" for phase in range(6) for acceptor in ("a0", "a1")),
        "w0 5",
    ]
    assert fleet.waited_s == 0


async def test_those_that_do_not_follow_are_killed_in_their_turn() -> None:
    fleet = Fleet()
    fleet.members = [Pretended(fleet, "a0", obeys=False), Pretended(fleet, "w0", obeys=False)]
    assert await drained(fleet) == [
        "w0 1",
        "a0 0",
        "a0 1",
        "a0 2",
        "a0 3",
        "a0 4",
        "a0 5",
        "a0 killed",
        "w0 5",
        "w0 killed",
    ]
    assert fleet.waited_s == sum([PHASES_LIMIT_S, *END_LIMITS_S.values()])


async def test_an_acceptor_that_never_served_is_killed_at_once() -> None:
    fleet = Fleet()
    fleet.members = [Pretended(fleet, "a0", ready=False), Pretended(fleet, "w0")]
    assert await drained(fleet) == ["a0 killed", "w0 1", "w0 5"]


def test_all_limits_together_stay_below_twenty_seconds() -> None:
    assert sum([PHASES_LIMIT_S, *END_LIMITS_S.values(), KILL_LIMIT_S]) < 20 - 1
