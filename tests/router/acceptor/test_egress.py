"""Runs that leave: written once, reported as far as they got, returned where they did not."""

import asyncio
from dataclasses import replace

import pytest

from router.acceptor.connection import Connection
from router.acceptor.egress import Egress
from router.acceptor.ingress import Ingress
from router.acceptor.window import Window
from router.metrics import Counters
from router.wire.frames import (
    Again,
    Forward,
    Frame,
    Hold,
    Progress,
    Reject,
    Returned,
    Sync,
    Synced,
)
from router.wire.owner import Owner
from router.wire.shard import shard_of
from router.xmpp.limits import StreamLimits
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import (
    Changing,
    Hub,
    connection_of,
    counted,
    live_leases,
    over_tcp,
    read_exactly,
)
from tests.support.eventually import eventually
from tests.support.pump import MONTAGUE, PAIR, authenticated, policy

LARGE = b" " * 1_000_000
SMALL_WINDOW_BYTES = 16_384
BUFFER_BYTES = 20_000_000


def forward(
    first: int = 1,
    octets: bytes = b"<message/>",
    *,
    lane: int = 5,
    epoch: int = 1,
    owner: str = "a0.1",
    count: int = 1,
    pair: DomainPair = PAIR,
    after: int = 0,
) -> Forward:
    return Forward(owner, lane, epoch, first, Counts(count, 0, 0), pair, 1, 1, after, octets)


class Rig(Changing):
    """An egress and one stream that may send PAIR; `told` is what owners get to hear."""

    def __init__(self, total_bytes: int = 16 * BUFFER_BYTES) -> None:
        super().__init__()
        self.told: list[tuple[str, Frame]] = []
        self.counters = Counters()
        self.leases = live_leases(1)
        owner = Owner("a0.1", self.leases)
        ingress = Ingress(
            owner,
            self.counters,
            Window(owner, 1000, 1000),
            to_shard=self._no,
            to_acceptor=self._no,
            call_later=self._no,
        )
        self.egress = Egress(
            asyncio.get_running_loop(),
            ingress,
            self.leases,
            self._tell,
            BUFFER_BYTES,
            total_bytes,
        )
        rig = self

        class Reporting(Hub):
            def lost(self, connection: Connection) -> None:
                super().lost(connection)
                rig.egress.stream_gone(connection)

        self.hub = Reporting()
        settings = policy(MONTAGUE, close_timeout_s=1e9)
        self.stream = connection_of(authenticated(settings, bidi=True), self.hub)

    def _no(self, *_: object) -> None:
        raise AssertionError

    def _tell(self, owner: str, frame: Frame) -> None:
        self.told.append((owner, frame))
        self.changed()

    async def hears(self, *wanted: tuple[str, Frame]) -> None:
        """Wait for the last of these; the ones before have come by then."""
        await self.until(lambda: wanted[-1] in self.told)
        assert [each for each in self.told if each in wanted] == list(wanted)


def progress(took: int, done: int, *, lane: int = 5, epoch: int = 1) -> Progress:
    return Progress(lane, epoch, 1, took, done, "tcp")


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_a_run_is_written_and_reported_to_its_owner(rig: Rig) -> None:
    async with over_tcp(rig.stream) as peer:
        rig.egress.forward(rig.stream, forward(1, b"<message/>" * 2, count=2))
        rig.egress.forward(rig.stream, forward(1, b"<iq/>", owner="a7.1"))
        assert await read_exactly(peer, 25) == b"<message/><message/><iq/>"
        done = {("a0.1", progress(2, 2)), ("a7.1", progress(1, 1))}
        await rig.until(lambda: done <= set(rig.told))
        assert rig.stream.stanzas_out == 3
        assert counted(rig.counters, "causeway_stanzas_total", "out") == 3
        assert counted(rig.counters, "causeway_bidi_reuse_total") == 3


async def test_a_run_from_a_worker_that_has_lost_the_shard_is_dropped(rig: Rig) -> None:
    async with over_tcp(rig.stream) as peer:
        rig.leases.fence([(shard_of(*PAIR), 2)])
        rig.egress.forward(rig.stream, forward(1))
        rig.egress.forward(rig.stream, replace(forward(1, b"<iq/>"), generation=2))
        assert await read_exactly(peer, 5) == b"<iq/>"
        assert rig.stream.stanzas_out == 1


async def test_taken_is_reported_before_done(rig: Rig) -> None:
    async with over_tcp(rig.stream, SMALL_WINDOW_BYTES) as peer:
        rig.egress.forward(rig.stream, forward(1, LARGE))
        await rig.hears(("a0.1", progress(1, 0)))
        await read_exactly(peer, len(LARGE))
        await rig.hears(("a0.1", progress(1, 0)), ("a0.1", progress(1, 1)))


async def test_a_run_that_comes_again_is_reported_again_and_not_written(rig: Rig) -> None:
    async with over_tcp(rig.stream) as peer:
        rig.egress.forward(rig.stream, forward())
        await rig.hears(("a0.1", progress(1, 1)))
        rig.told.clear()
        rig.egress.forward(rig.stream, forward(epoch=2))
        await rig.hears(("a0.1", progress(1, 1, epoch=2)))
        rig.egress.forward(rig.stream, forward(2, b"<iq/>", epoch=2))
        assert await read_exactly(peer, 15) == b"<message/><iq/>"
        assert rig.stream.stanzas_out == 2


async def test_a_run_for_a_stream_that_is_no_more_goes_back_whole(rig: Rig) -> None:
    rig.egress.forward(None, forward(4, epoch=3))
    assert rig.told == [("a0.1", Returned(5, 3, 4, 3))]


async def test_a_run_that_the_stream_does_not_carry_goes_back_whole(rig: Rig) -> None:
    async with over_tcp(rig.stream):
        rig.egress.forward(rig.stream, forward(pair=PAIR.inverse()))
        assert rig.told == [("a0.1", Returned(5, 1, 1, 0))]
        assert rig.stream.stanzas_out == 0


@pytest.mark.clause("BIDI-23")
async def test_a_lane_moves_only_with_all_it_has(rig: Rig) -> None:
    """A run that comes while its stream closes waits for what was written before it.

    Were it returned alone, its owner would send again what is still on its way.
    """
    async with over_tcp(rig.stream, SMALL_WINDOW_BYTES) as peer:
        rig.egress.forward(rig.stream, forward(1, LARGE))
        await rig.hears(("a0.1", progress(1, 0)))
        rig.stream.close()
        rig.egress.forward(rig.stream, forward(2, epoch=1))
        rig.egress.forward(rig.stream, forward(1, lane=6))
        assert rig.told == [("a0.1", progress(1, 0)), ("a0.1", Returned(6, 1, 1, 0))]
        await read_exactly(peer, len(LARGE))
        peer.send(b"</stream:stream>")
        await rig.hears(("a0.1", progress(1, 1)), ("a0.1", Returned(5, 1, 2, 1)))
        assert rig.told.count(("a0.1", Returned(5, 1, 2, 1))) == 1


async def test_a_stream_that_dies_leaves_what_was_on_its_way_in_doubt(rig: Rig) -> None:
    async with over_tcp(rig.stream, SMALL_WINDOW_BYTES) as peer:
        rig.egress.forward(rig.stream, forward())
        await rig.hears(("a0.1", progress(1, 1)))
        rig.egress.forward(rig.stream, forward(2, LARGE))
        rig.egress.forward(rig.stream, forward(3, LARGE, count=3))
        await read_exactly(peer, 100)
        rig.stream.abort()
        await rig.hears(("a0.1", Returned(5, 1, 2, 5)))
        assert [frame for _, frame in rig.told if isinstance(frame, Returned)] == [
            Returned(5, 1, 2, 5)
        ]


async def test_a_lane_that_has_ended_is_forgotten_by_every_stream(rig: Rig) -> None:
    async with over_tcp(rig.stream):
        for lane in (5, 6, 7):
            rig.egress.forward(
                rig.stream, forward(lane=lane, owner="a7.1" if lane == 7 else "a0.1")
            )
        await eventually(lambda: not rig.stream.outlet.is_waiting())
        rig.egress.ended([rig.stream], "a0.1", 5)
        rig.egress.ended([rig.stream], "a9.9", 6)
        rig.egress.owner_gone([rig.stream], "a7.1")
        rig.told.clear()
        rig.stream.abort()
        await rig.hears(("a0.1", Returned(6, 1, 2, 1)))
        assert len(rig.told) == 1


@pytest.mark.clause("LIM-03")
async def test_a_stanza_larger_than_the_peer_takes_goes_back_to_its_owner(rig: Rig) -> None:
    small, large = b"<message id='a'/>", b"<iq id='aaaaaa'/>" + b"<iq id='bbbbbbbbbbbbb'/>"
    rig.stream.core.peer_limits = StreamLimits(len(small))
    async with over_tcp(rig.stream) as peer:
        run = replace(forward(1, small + large + small, count=4), counts=Counts(2, 0, 2))
        rig.egress.forward(rig.stream, run)
        (told,) = rig.told
        assert told == ("a0.1", Reject(5, 1, 3, 1, "policy-violation", "modify", told[1].text))
        wanted = small + b"<iq id='aaaaaa'/>" + small
        assert await read_exactly(peer, len(wanted)) == wanted
        await rig.hears(("a0.1", progress(4, 4)))
        assert rig.stream.stanzas_out == 3
        assert counted(rig.counters, "causeway_stanzas_total", "iq", "out") == 1
        rig.told.clear()
        rig.egress.forward(rig.stream, run)
        await rig.hears(("a0.1", progress(4, 4)))
        assert len(rig.told) == 1, "what comes again is neither written nor rejected again"


@pytest.mark.clause("LIM-03")
@pytest.mark.parametrize(("size", "is_sent"), [(10_000, True), (10_001, False)])
async def test_the_limit_itself_is_within_it(rig: Rig, size: int, is_sent: bool) -> None:
    rig.stream.core.peer_limits = StreamLimits(10_000)
    stanza = b"<message>" + b"x" * (size - 19) + b"</message>"
    async with over_tcp(rig.stream) as peer:
        rig.egress.forward(rig.stream, forward(1, stanza))
        rig.egress.forward(rig.stream, forward(2, b"<iq/>"))
        wanted = stanza * is_sent + b"<iq/>"
        assert await read_exactly(peer, len(wanted)) == wanted
        await rig.hears(("a0.1", progress(2, 2)))
        assert [type(frame) for _, frame in rig.told].count(Reject) == (not is_sent)
        await eventually(lambda: not rig.stream.outlet.is_waiting())


async def test_nothing_is_waited_for_where_nothing_was_written(rig: Rig) -> None:
    rig.stream.core.peer_limits = StreamLimits(5)
    async with over_tcp(rig.stream):
        rig.egress.forward(rig.stream, forward())
        await rig.hears(("a0.1", progress(1, 0)))
        assert not rig.stream.outlet.is_waiting()


@pytest.mark.clause("ERR-06")
async def test_what_waits_for_a_peer_that_does_not_read_is_bounded_and_the_rest_waits_elsewhere(
    rig: Rig,
) -> None:
    async with over_tcp(rig.stream, SMALL_WINDOW_BYTES) as peer:
        runs = BUFFER_BYTES // len(LARGE) + 10
        for number in range(1, runs):
            rig.egress.forward(rig.stream, forward(number, LARGE, after=number - 1))
        assert rig.stream.buffered() <= BUFFER_BYTES
        assert [frame for _, frame in rig.told] == [Hold(5, 1, True)], "told once"
        await rig.until(lambda: ("a0.1", Hold(5, 1, False)) in rig.told)
        assert not any(isinstance(frame, Reject | Again) for _, frame in rig.told)

        took = max(frame.took for _, frame in rig.told if isinstance(frame, Progress))
        assert runs - 10 <= took < runs - 1
        await read_exactly(peer, took * len(LARGE))
        await rig.hears(("a0.1", Again(5, 1, took, 0, True)))
        for number in range(took + 1, runs):
            rig.egress.forward(rig.stream, forward(number, b"<iq/>", after=took and number - 1))
        assert await read_exactly(peer, 5) == b"<iq/>"
        await rig.until(lambda: not rig.stream.outlet.is_holding())


@pytest.mark.clause("ERR-06")
async def test_an_owner_that_knows_no_holds_has_its_run_rejected_where_there_is_no_room(
    rig: Rig,
) -> None:
    """It speaks version 1 of the frames, and would never send again what is dropped."""
    rig.leases.speaks["a7.1"] = 1
    async with over_tcp(rig.stream, SMALL_WINDOW_BYTES) as peer:
        runs = BUFFER_BYTES // len(LARGE) + 10
        for number in range(1, runs):
            rig.egress.forward(rig.stream, forward(number, LARGE, owner="a7.1"))
        rejected = [frame.first for _, frame in rig.told if isinstance(frame, Reject)]
        assert rejected == list(range(rejected[0], runs))
        await read_exactly(peer, (rejected[0] - 1) * len(LARGE))
        rig.egress.forward(rig.stream, forward(runs, b"<iq/>", owner="a7.1"))
        assert await read_exactly(peer, 5) == b"<iq/>"


@pytest.mark.clause("ERR-06")
async def test_what_waits_in_all_streams_together_is_bounded_and_a_peer_that_reads_has_room() -> (
    None
):
    rig = Rig(total_bytes=4 * len(LARGE))
    other = connection_of(authenticated(policy(MONTAGUE), bidi=True), rig.hub, number=2)
    async with over_tcp(rig.stream, SMALL_WINDOW_BYTES) as deaf, over_tcp(other) as reading:
        runs = 100
        for number in range(1, runs):
            rig.egress.forward(rig.stream, forward(number, LARGE, after=number - 1))
        assert rig.egress.waiting_bytes <= 4 * len(LARGE)
        assert rig.stream.outlet.is_holding()
        rig.egress.forward(other, forward(1, b"<iq/>", lane=6))
        assert await read_exactly(reading, 5) == b"<iq/>"
        await rig.until(lambda: any(isinstance(f, Progress) and f.lane == 5 for _, f in rig.told))
        took = max(f.took for _, f in rig.told if isinstance(f, Progress) and f.lane == 5)
        await read_exactly(deaf, took * len(LARGE))
        await rig.until(lambda: any(isinstance(frame, Again) for _, frame in rig.told))
        await eventually(lambda: rig.egress.waiting_bytes == 0)


async def test_a_gap_is_asked_for_and_nothing_behind_it_is_written(rig: Rig) -> None:
    async with over_tcp(rig.stream) as peer:
        rig.egress.forward(rig.stream, forward(1))
        rig.egress.forward(rig.stream, forward(3, b"<presence/>", after=2))
        assert rig.told == [("a0.1", Again(5, 1, 1, 0, True))]
        rig.egress.forward(rig.stream, forward(2, b"<iq/>"))
        assert await read_exactly(peer, 15) == b"<message/><iq/>"
        assert rig.stream.stanzas_out == 2


async def test_who_syncs_hears_what_was_taken_and_what_is_older_is_taken_no_more(rig: Rig) -> None:
    shard = shard_of(*PAIR)
    async with over_tcp(rig.stream) as peer:
        rig.egress.forward(rig.stream, forward(1, b"<message/>" * 2, count=2))
        rig.egress.forward(rig.stream, forward(1, owner="a7.1"))
        await read_exactly(peer, 30)
        rig.told.clear()
        rig.egress.sync([rig.stream], "a0.1", Sync(8, ((shard, 2),)))
        (report, answer) = rig.told
        assert answer == ("a0.1", Synced(8))
        assert (report[0], report[1].lane, report[1].took) == ("a0.1", 5, 2)
        rig.egress.forward(rig.stream, forward(3, b"<iq/>", after=2))
        rig.egress.forward(rig.stream, replace(forward(3, b"<presence/>"), generation=2))
        assert await read_exactly(peer, 11) == b"<presence/>"


async def test_a_closed_stream_whose_peer_reads_nothing_is_dropped_and_its_run_returned(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.acceptor.connection._ACKED_WAIT_S", 0.05)
    async with over_tcp(rig.stream, SMALL_WINDOW_BYTES):
        rig.egress.forward(rig.stream, forward(1, LARGE * 16))
        rig.stream.act(rig.stream.core.fail("reset", "enough"))
        await rig.hears(("a0.1", Returned(5, 1, 1, 1)))


async def test_a_pair_that_is_released_goes_back_once_its_peer_has_all_of_it(rig: Rig) -> None:
    async with over_tcp(rig.stream) as peer:
        rig.egress.forward(rig.stream, forward(count=2))
        rig.egress.release(rig.stream, PAIR)
        rig.egress.forward(rig.stream, forward(3, after=2))
        back = ("a0.1", Returned(5, 1, 3, 2))
        await rig.hears(("a0.1", progress(2, 2)), back)
        assert rig.told.count(back) == 1
        assert rig.egress.forward(rig.stream, forward(3, octets=b"<iq/>", epoch=2))
        assert await read_exactly(peer, 15) == b"<message/><iq/>"
        await rig.hears(("a0.1", progress(3, 3, epoch=2)))
