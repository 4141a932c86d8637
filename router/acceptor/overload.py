"""What an acceptor gives up as its queues fill, stage by stage (reliability 3.7), or it is late.

One timer compares what is kept and what waits to be read with their bounds. The acceptor asks
before it lets anybody in or dials; the rest is done here, to the window, the egress and streams.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, Protocol

import structlog

from router.acceptor.connection import Connection
from router.acceptor.layer import CHUNK_BYTES, read_at_most
from router.config import Limits
from router.metrics import Counters
from router.xmpp.states import Phase

log = structlog.get_logger()

LOOK_S: Final = 0.1
LATE_S: Final = 0.1
"""By how much the loop may be late."""
LATE_FOR_S: Final = 1.0
"""For so long, before smaller chunks are read; and in time for so long, before it is over."""
SMALL_CHUNK_BYTES: Final = 8192
_BACK: Final = 0.05
"""A stage is over that far below where it began, so that it does not come and go."""
_HEAVIEST: Final = 10
"""One stream of so many is paused."""


class Stage(IntEnum):
    """How far it has come."""

    CALM = 0
    FULL = 1
    """No more connections, no more dials for strangers' keys."""
    PRESSED = 2
    """Half the room for each stream, and the heaviest wait."""
    CRITICAL = 3
    """Who has proved nothing goes, then the newest streams, one after another."""


_BEGINS: Final = {Stage.FULL: 0.70, Stage.PRESSED: 0.85, Stage.CRITICAL: 0.95}


def stage_at(share: float, before: Stage) -> Stage:
    """The stage when such a share of the room is taken."""
    stage = Stage.CALM
    for each, begins in _BEGINS.items():
        if share >= begins - (_BACK if each <= before else 0.0):
            stage = each
    return stage


class Room(Protocol):
    """What can be made tighter: the window and the egress."""

    def press(self, is_pressed: bool) -> None:
        """Half of each share, or all of it again."""


class Overload:
    """The stages of one acceptor. `used_bytes` says what is taken of `room_bytes`.

    `connections()` are all there are; `pause` has streams wait, the heaviest.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        counters: Counters,
        used_bytes: Callable[[], int],
        connections: Callable[[], Sequence[Connection]],
        rooms: Sequence[Room],
        pause: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._counters = counters
        self._used_bytes = used_bytes
        self._room_bytes = limits.retention_bytes + limits.output_total_bytes
        self._connections = connections
        self._rooms = rooms
        self._pause = pause
        self.stage = Stage.CALM
        self.is_crowded = False
        self.is_busy = False
        self._late_s = 0.0
        self.reload(limits)
        self._due = loop.time() + LOOK_S
        self._timer = loop.call_at(self._due, self._look)

    def reload(self, limits: Limits) -> None:
        """Another bound on connections holds."""
        self._most = limits.connections

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def has_place(self, is_open: int) -> bool:
        """Whether there may be one more connection beside so many."""
        is_crowded = is_open >= self._most
        if is_crowded is not self.is_crowded:
            self.is_crowded = is_crowded
            log.warning("overload.connections", open=is_open, most=self._most, full=is_crowded)
        return not is_crowded

    def admits(self, is_open: int) -> bool:
        """Whether a stranger may come in, or be asked about: there is a place, and all is calm."""
        return self.stage is Stage.CALM and self.has_place(is_open)

    # --- every now and then ---

    def _look(self) -> None:
        now = self._loop.time()
        self._judge_lateness(now - self._due)
        self._due = now + LOOK_S
        self._timer = self._loop.call_at(self._due, self._look)
        self._go_to(stage_at(self._used_bytes() / self._room_bytes, self.stage))
        if self.stage >= Stage.PRESSED:
            self._pause_heaviest()
        if self.stage is Stage.CRITICAL:
            self._end_some()

    def _judge_lateness(self, late_s: float) -> None:
        is_late = late_s > LATE_S
        self._late_s = self._late_s + LOOK_S + late_s if is_late is not self.is_busy else 0.0
        if self._late_s >= LATE_FOR_S:
            self.is_busy, self._late_s = is_late, 0.0
            read_at_most(SMALL_CHUNK_BYTES if is_late else CHUNK_BYTES)
            log.warning("overload.busy", busy=is_late, late_s=round(late_s, 3))

    def _go_to(self, stage: Stage) -> None:
        if stage is self.stage:
            return
        before, self.stage = self.stage, stage
        log.warning(
            "overload.stage",
            stage=stage.name.lower(),
            before=before.name.lower(),
            used=self._used_bytes(),
            room=self._room_bytes,
        )
        for room in self._rooms:
            room.press(stage >= Stage.PRESSED)

    def _pause_heaviest(self) -> None:
        heavy = sorted(
            (each for each in self._connections() if each.kept_bytes),
            key=lambda each: each.kept_bytes,
            reverse=True,
        )
        for each in heavy[: -(-len(heavy) // _HEAVIEST)]:
            self._pause(each)

    def _end_some(self) -> None:
        """Strangers at once; then, at each look, the newest stream that has anything waiting."""
        strangers: list[Connection] = []
        proved: list[Connection] = []
        for each in self._connections():
            if each.end is None and each.core.phase is not Phase.CLOSING and each.leg == "s2s":
                (proved if each.core.mechanism else strangers).append(each)
        weighty = [each for each in proved if each.kept_bytes or each.buffered()]
        for each in strangers or weighty[-1:]:
            each.act(each.core.fail("resource-constraint", "this server has no room left"))

    def gauges(self) -> None:
        """Bring the gauges up to date."""
        of = {stage.name.lower(): stage is self.stage for stage in Stage if stage}
        for how, holds in {**of, "crowded": self.is_crowded, "busy": self.is_busy}.items():
            self._counters.set("causeway_overloaded_acceptors", how, value=float(holds))
