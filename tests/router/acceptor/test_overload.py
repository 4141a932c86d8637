"""What an acceptor gives up as its queues fill, and takes back when they empty."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from router.acceptor import layer
from router.acceptor.connection import Connection
from router.acceptor.overload import LOOK_S, SMALL_CHUNK_BYTES, Overload, Stage, stage_at
from router.config import Limits
from router.metrics import Counters
from tests.support.acceptors import connection_of, counted
from tests.support.pump import MONTAGUE, NOW, authenticated, inbound, policy

LIMITS = Limits(retention_bytes=1_000_000, output_total_bytes=1_000_000, connections=3)
ROOM_BYTES = 2_000_000


class Clock:
    """A loop's clock and its only timer, turned by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.timers: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, work: Any) -> Any:
        self.timers.append((when, work))
        return asyncio.TimerHandle(when, work, (), asyncio.get_running_loop())

    def turn(self, late_s: float = 0.0) -> None:
        when, work = self.timers.pop()
        self.now = when + late_s
        work()


class Rig:
    def __init__(self) -> None:
        self.clock: Any = Clock()
        self.counters = Counters()
        self.used = 0.0
        self.connections: list[Connection] = []
        self.pressed: list[bool] = []
        self.paused: list[Connection] = []
        self.overload = Overload(
            self.clock,
            LIMITS,
            self.counters,
            lambda: int(self.used * ROOM_BYTES),
            lambda: self.connections,
            (self,),
            self.paused.append,
        )

    def press(self, is_pressed: bool) -> None:
        self.pressed.append(is_pressed)

    def at(self, used: float) -> Stage:
        self.used = used
        self.clock.turn()
        return self.overload.stage

    def gauge(self, how: str) -> float:
        self.overload.gauges()
        return counted(self.counters, "causeway_overloaded_acceptors", how)


@pytest.fixture
async def rig() -> Rig:
    return Rig()


@pytest.fixture(autouse=True)
def _chunks() -> Iterator[None]:
    yield
    layer.read_at_most(layer.CHUNK_BYTES)


@pytest.mark.parametrize(
    ("share", "before", "stage"),
    [
        (0.69, Stage.CALM, Stage.CALM),
        (0.70, Stage.CALM, Stage.FULL),
        (0.85, Stage.CALM, Stage.PRESSED),
        (0.95, Stage.CALM, Stage.CRITICAL),
        (0.91, Stage.CRITICAL, Stage.CRITICAL),
        (0.91, Stage.PRESSED, Stage.PRESSED),
        (0.89, Stage.CRITICAL, Stage.PRESSED),
        (0.66, Stage.CRITICAL, Stage.FULL),
        (0.64, Stage.CRITICAL, Stage.CALM),
    ],
)
def test_stages_begin_at_their_share_and_end_a_little_below(
    share: float, before: Stage, stage: Stage
) -> None:
    assert stage_at(share, before) is stage


async def test_strangers_come_in_while_all_is_calm_and_there_is_a_place(rig: Rig) -> None:
    assert rig.overload.admits(2)
    assert not rig.overload.admits(3)
    assert rig.gauge("crowded") == 1
    assert rig.overload.has_place(2)
    assert rig.at(0.7) is Stage.FULL
    assert not rig.overload.admits(0)
    assert rig.overload.has_place(0)
    assert (rig.gauge("full"), rig.gauge("crowded")) == (1, 0)
    assert rig.at(0.1) is Stage.CALM
    assert rig.overload.admits(0)
    assert rig.gauge("full") == 0


async def test_when_pressed_shares_are_halved_and_the_heaviest_tenth_waits(rig: Rig) -> None:
    for number in range(1, 12):
        connection = connection_of(authenticated(policy(MONTAGUE)), number=number)
        connection.kept_bytes = number * 100
        rig.connections.append(connection)
    rig.at(0.86)
    assert rig.pressed == [True]
    assert [each.number for each in rig.paused] == [11, 10]
    rig.at(0.5)
    assert rig.pressed == [True, False]
    assert len(rig.paused) == 2


async def test_when_critical_strangers_go_first_then_the_newest_that_has_anything(
    rig: Rig,
) -> None:
    stranger = connection_of(inbound(policy(MONTAGUE)), number=9)
    proved = [connection_of(authenticated(policy(MONTAGUE)), number=n) for n in (1, 2, 3)]
    proved[0].kept_bytes = proved[1].kept_bytes = 100
    rig.connections = [*proved, stranger]
    assert rig.at(0.96) is Stage.CRITICAL

    closed = [each.number for each in rig.connections if _is_closing(each)]
    assert closed == [9]
    rig.clock.turn()
    assert [each.number for each in proved if _is_closing(each)] == [2]
    rig.clock.turn()
    assert [each.number for each in proved if _is_closing(each)] == [1, 2]
    rig.clock.turn()
    assert not _is_closing(proved[2]), "it has nothing that would make room"


def _is_closing(connection: Connection) -> bool:
    end = connection.end
    return end is not None and end.condition == "resource-constraint" and not end.by_peer


async def test_a_loop_that_is_late_for_a_second_reads_less_at_once(rig: Rig) -> None:
    def chunk() -> int:
        return len(layer.Layer.get_buffer(None, -1))  # type: ignore[arg-type]

    for _ in range(2):
        rig.clock.turn(late_s=0.3)
    rig.clock.turn()
    for _ in range(2):
        rig.clock.turn(late_s=0.3)
    assert chunk() == layer.CHUNK_BYTES, "never for a whole second"
    rig.clock.turn(late_s=0.3)
    assert chunk() == SMALL_CHUNK_BYTES
    assert rig.gauge("busy") == 1
    for _ in range(round(1 / LOOK_S) - 2):
        rig.clock.turn()
    assert chunk() == SMALL_CHUNK_BYTES
    for _ in range(3):
        rig.clock.turn()
    assert chunk() == layer.CHUNK_BYTES
    assert rig.gauge("busy") == 0
