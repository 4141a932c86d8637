"""Who waits and who is refused while stanzas pile up: for slow peers, not for dead ones."""

from dataclasses import dataclass
from typing import Any

import pytest

from router.acceptor.window import Window
from router.wire.frames import Again, Hold
from router.wire.lane import Lane
from router.wire.owner import Owner
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import live_leases

PAIR = DomainPair("capulet.example", "montague.example")
STREAM_BYTES = 1000
RETENTION_BYTES = 400_000


@dataclass
class Stream:
    """As much of a connection as the window sees."""

    number: int
    kept_bytes: int = 0
    is_paused: bool = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Rig:
    def __init__(self, stream_bytes: int = STREAM_BYTES) -> None:
        self.owner = Owner("a0.1", live_leases(1))
        self.window = Window(self.owner, stream_bytes, RETENTION_BYTES)

    def lane(self, stream: Stream) -> Lane:
        return self.owner.open(PAIR, stream.number)

    def keeps(self, stream: Any, lane: Lane, octets: int) -> None:
        self.owner.append(lane, Counts(1, 0, 0), b"x" * octets)
        self.window.kept(stream, octets)

    def holds(self, stream: Any, lane: Lane, *, is_moving: bool) -> None:
        self.owner.hold(Hold(lane.number, 1, is_moving))
        self.window.pace_changed(stream, lane)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_stream_waits_for_peers_that_read(rig: Rig) -> None:
    stream = Stream(1)
    lane = rig.lane(stream)
    rig.holds(stream, lane, is_moving=True)
    rig.keeps(stream, lane, STREAM_BYTES + 1)
    assert stream.is_paused
    assert rig.window.has_room(stream, lane)
    rig.window.released(stream, 400)
    assert stream.is_paused
    rig.window.released(stream, 200)
    assert not stream.is_paused


def test_nobody_waits_for_a_peer_that_does_not_read_and_its_stanzas_are_bounded(rig: Rig) -> None:
    stream = Stream(1)
    dead, other = rig.lane(stream), rig.lane(stream)
    rig.keeps(stream, dead, STREAM_BYTES + 1)
    assert stream.is_paused
    rig.holds(stream, dead, is_moving=False)
    assert not stream.is_paused
    assert not rig.window.has_room(stream, dead)
    assert rig.window.has_room(stream, other)
    rig.keeps(stream, other, STREAM_BYTES)
    assert not stream.is_paused
    rig.keeps(stream, other, 1)
    assert stream.is_paused, "the other one's peer reads"


def test_who_reads_again_is_waited_for_again_once_it_has_caught_up_by_half(rig: Rig) -> None:
    stream: Any = Stream(1)
    lane = rig.lane(stream)
    rig.holds(stream, lane, is_moving=False)
    rig.keeps(stream, lane, STREAM_BYTES + 1)
    rig.owner.again(Again(lane.number, 1, 0, 0, is_short=False))
    rig.window.pace_changed(stream, lane)
    assert not stream.is_paused
    assert not rig.window.has_room(stream, lane)

    lane.kept_bytes -= 600
    rig.window.released(stream, 600)
    assert rig.window.has_room(stream, lane)
    rig.keeps(stream, lane, 600)
    assert stream.is_paused


def test_when_room_is_short_everybody_gets_less_and_more_again_when_it_is_not() -> None:
    rig = Rig(stream_bytes=150_000)
    streams = [Stream(number) for number in range(3)]
    lanes = [rig.lane(stream) for stream in streams]
    rig.keeps(streams[0], lanes[0], 149_000)
    assert not streams[0].is_paused
    rig.keeps(streams[1], lanes[1], 65_000)
    assert not streams[1].is_paused, "within its share"
    rig.keeps(streams[1], lanes[1], 1_000)
    assert streams[1].is_paused
    rig.holds(streams[2], lanes[2], is_moving=False)
    assert not rig.window.has_room(streams[2], lanes[2]), (
        "what waits for the dead must not crowd out others"
    )
    rig.keeps(streams[0], lanes[0], 190_000)
    rig.keeps(streams[2], lanes[2], 1)
    assert streams[0].is_paused

    rig.owner.close(lanes[0])
    rig.owner.kept_bytes -= 339_000
    rig.window.released(streams[0], 339_000)
    assert [stream.is_paused for stream in streams] == [False, False, False]


def test_a_stream_that_is_gone_is_not_resumed(rig: Rig) -> None:
    stream = Stream(1)
    rig.keeps(stream, rig.lane(stream), STREAM_BYTES + 1)
    rig.window.gone(stream)  # type: ignore[arg-type]
    rig.window.released(stream, STREAM_BYTES)  # type: ignore[arg-type]
    assert stream.is_paused


def test_when_pressed_a_stream_has_half_its_share(rig: Rig) -> None:
    stream = Stream(1)
    lane = rig.lane(stream)
    rig.keeps(stream, lane, STREAM_BYTES // 2)
    assert not stream.is_paused
    rig.window.press(True)
    rig.keeps(stream, lane, 1)
    assert stream.is_paused
    rig.window.press(False)
    assert stream.is_paused, "more than half of its share is still open"
    rig.window.released(stream, 1)  # type: ignore[arg-type]
    assert not stream.is_paused


def test_a_heavy_stream_that_was_paused_goes_on_below_half_of_its_share(rig: Rig) -> None:
    stream = Stream(1)
    lane = rig.lane(stream)
    rig.keeps(stream, lane, STREAM_BYTES // 2 + 2)
    rig.window.pause(stream)  # type: ignore[arg-type]
    assert stream.is_paused
    rig.window.released(stream, 1)  # type: ignore[arg-type]
    assert stream.is_paused
    rig.window.released(stream, 1)  # type: ignore[arg-type]
    assert not stream.is_paused
