"""The acceptor on the real bus: who is told what, in which order, and who is not told at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from router.acceptor.links import Links
from router.wire.bus import RouterSocket
from router.wire.codec import decode
from router.wire.control import Membership
from router.wire.frames import (
    Announced,
    Attached,
    Detached,
    Dial,
    Ended,
    Frame,
    Granted,
    Joined,
    Revoked,
)
from router.wire.shard import SHARDS
from router.xmpp.pair import DomainPair
from tests.support.acceptors import Changing, Worker
from tests.support.eventually import eventually

PAIR = DomainPair("montague.example", "capulet.example")
ALL = frozenset(range(SHARDS))
LOW, HIGH = frozenset(range(32)), frozenset(range(32, SHARDS))
ANNOUNCEMENT, REPLAYED = Granted(1, PAIR, True, "external"), Revoked(2, PAIR)
OWN = "a0.1"


def membership(
    version: int, *owners: str, generation: int = 1, acceptors: tuple[tuple[str, str], ...] = ()
) -> Membership:
    """One owner of all shards, or one of the lower and one of the upper half."""
    each = SHARDS // len(owners)
    spread = tuple(owner for owner in owners for _ in range(each))
    return Membership(version, acceptors, spread, (generation,) * SHARDS)


class Rig(Changing):
    """Links whose owner announces one grant and replays one frame, and writes down the rest."""

    def __init__(self, context: zmq.Context, directory: Path) -> None:
        super().__init__()
        self.heard: list[tuple[str, Frame]] = []
        self.announced: list[tuple[str, frozenset[int]]] = []
        self.replayed: list[frozenset[int]] = []
        self.gone: list[tuple[str, frozenset[int]]] = []
        self.endpoint = f"ipc://{directory}/{OWN}.bus"
        self.links = Links(
            asyncio.get_running_loop(),
            context,
            OWN,
            self.endpoint,
            on_frame=self._on_frame,
            announce=self._announce,
            replay=self._replay,
            gone=lambda acceptor, shards: self.gone.append((acceptor, shards)),
        )

    def _on_frame(self, source: str, frame: Frame) -> None:
        self.heard.append((source, frame))
        self.changed()

    def _announce(self, worker: str, shards: frozenset[int]) -> None:
        self.announced.append((worker, shards))
        if shards:
            self.links.to_worker(worker, ANNOUNCEMENT)

    def _replay(self, shards: frozenset[int]) -> None:
        self.replayed.append(shards)
        for shard in shards:
            self.links.to_shard(shard, REPLAYED)
            return


MakeWorker = Callable[[str], Worker]


@pytest.fixture
async def rig(context: zmq.Context, directory: Path) -> AsyncIterator[Rig]:
    rig = Rig(context, directory)
    yield rig
    rig.links.close()


@pytest.fixture
async def new_worker(context: zmq.Context, rig: Rig) -> AsyncIterator[MakeWorker]:
    with ExitStack() as workers:

        def make(name: str) -> Worker:
            worker = Worker(context, rig.endpoint, name)
            workers.callback(worker.close)
            return worker

        yield make


def kinds(worker: Worker) -> list[str]:
    return [type(frame).__name__ for frame in worker.heard]


async def told(worker: Worker, count: int) -> list[str]:
    """The kinds of the first frames that the worker got."""
    await worker.until(lambda: len(worker.heard) >= count)
    return kinds(worker)


async def mark(rig: Rig, worker: Worker) -> None:
    """Wait until all that was sent to the worker has arrived."""
    rig.links.to_worker(worker.name, Dial(PAIR))
    await worker.hears(Dial)


# --- a worker joins ---


@pytest.mark.parametrize("first", ["membership", "worker"])
async def test_the_owner_hears_announcements_then_their_end_then_the_runs(
    rig: Rig, new_worker: MakeWorker, first: str
) -> None:
    worker = new_worker("w0.1")
    if first == "membership":
        rig.links.membership(membership(1, "w0.1"))
        worker.send(Joined(1))
    else:
        worker.send(Joined(1))
        worker.send(Dial(PAIR))
        await rig.until(lambda: bool(rig.heard))
        assert (rig.announced, worker.heard) == ([], [])
        rig.links.membership(membership(1, "w0.1"))
    assert await told(worker, 3) == ["Granted", "Announced", "Revoked"]
    assert worker.heard[1] == Announced(1)
    assert rig.announced == [("w0.1", ALL)]
    assert rig.replayed == [ALL]


async def test_nothing_reaches_a_shard_before_its_owner_has_been_told(
    rig: Rig, new_worker: MakeWorker
) -> None:
    worker = new_worker("w0.1")
    rig.links.membership(membership(1, "w0.1"))
    rig.links.to_shard(3, Revoked(77, PAIR))
    worker.send(Joined(1))
    await told(worker, 3)
    rig.links.to_shard(3, Revoked(78, PAIR))
    await worker.hears(Revoked, stream=78)
    assert not any(frame == Revoked(77, PAIR) for frame in worker.heard)


async def test_a_worker_of_an_older_membership_does_not_get_what_it_won_since(
    rig: Rig, new_worker: MakeWorker
) -> None:
    worker = new_worker("w0.1")
    rig.links.membership(membership(1, "w9.9"))
    rig.links.membership(membership(2, "w0.1"))
    worker.send(Joined(1))
    assert await told(worker, 1) == ["Announced"]
    assert rig.announced == [("w0.1", frozenset())]
    worker.send(Joined(2))
    assert await told(worker, 4) == ["Announced", "Granted", "Announced", "Revoked"]
    assert rig.announced[-1] == ("w0.1", ALL)


# --- shards move ---


async def test_shards_that_move_are_announced_and_replayed_to_their_new_owner_only(
    rig: Rig, new_worker: MakeWorker
) -> None:
    old, new = new_worker("w0.1"), new_worker("w1.1")
    rig.links.membership(membership(1, "w0.1"))
    for worker in (old, new):
        worker.send(Joined(1))
    await told(old, 3)
    await told(new, 1)
    old.heard.clear()
    new.heard.clear()

    rig.links.membership(membership(2, "w0.1", "w1.1"))
    rig.links.to_shard(40, Revoked(90, PAIR))
    rig.links.to_shard(4, Revoked(91, PAIR))
    new.send(Joined(2))
    await new.hears(Granted)
    await new.hears(Announced, version=2)
    await new.hears(Revoked, stream=2)
    rig.links.to_shard(40, Revoked(92, PAIR))
    await new.hears(Revoked, stream=92)
    await old.hears(Revoked, stream=91)
    await mark(rig, old)
    assert not any(isinstance(frame, Revoked) for frame in [*old.heard, *new.heard])
    assert rig.replayed == [ALL, HIGH]


async def test_shards_that_come_back_are_announced_anew(rig: Rig, new_worker: MakeWorker) -> None:
    worker = new_worker("w0.1")
    for version, owner in ((1, "w0.1"), (2, "w1.1"), (3, "w0.1")):
        rig.links.membership(membership(version, owner, generation=version))
    worker.send(Joined(3))
    await told(worker, 3)
    rig.links.membership(membership(4, "w0.1", generation=3))
    worker.send(Joined(4))
    await worker.hears(Announced, version=4)
    assert rig.replayed == [ALL]


async def test_generations_are_those_of_the_last_membership(rig: Rig) -> None:
    generations = rig.links.generations
    rig.links.membership(membership(1, "w0.1", generation=5))
    assert generations == [5] * SHARDS


# --- everybody ---


async def test_news_for_all_workers_reach_those_that_have_joined_and_are_there(
    rig: Rig, new_worker: MakeWorker
) -> None:
    here, gone, stranger = map(new_worker, ("w0.1", "w1.1", "w2.1"))
    rig.links.membership(membership(1, "w0.1"))
    for worker in (here, gone):
        worker.send(Joined(1))
        await worker.hears(Announced)
    stranger.send(Dial(PAIR))
    await rig.until(lambda: bool(rig.heard))
    rig.links.to_all_workers(Attached("montague.example", 1))
    for worker in (here, gone):
        await worker.hears(Attached)

    gone.close()

    def is_forgotten() -> bool:
        rig.links.to_all_workers(Detached("montague.example", 1))
        rig.announced.clear()
        rig.links.membership(membership(1, "w0.1"))
        return [worker for worker, _ in rig.announced] == ["w0.1"]

    await eventually(is_forgotten)
    await here.hears(Detached)
    assert stranger.heard == []


# --- what comes ---


async def test_frames_are_handed_on_with_their_source(rig: Rig, new_worker: MakeWorker) -> None:
    new_worker("w0.1").send(Dial(PAIR))
    await rig.until(lambda: bool(rig.heard))
    assert rig.heard == [("w0.1", Dial(PAIR))]


async def test_what_is_no_frame_is_counted_and_no_more(rig: Rig, new_worker: MakeWorker) -> None:
    worker = new_worker("w0.1")
    worker.send_raw(b"\xff\x00 no frame")
    worker.send_raw(b"\x93\x63\x01\x00")
    worker.send_raw(b"", b"", b"")
    worker.send(Dial(PAIR))
    await rig.until(lambda: bool(rig.heard))
    assert rig.links.bad_frames == 3
    assert rig.heard == [("w0.1", Dial(PAIR))]


# --- acceptors ---


async def test_a_frame_to_ourselves_comes_back_in_a_later_turn(rig: Rig) -> None:
    rig.links.to_acceptor(OWN, Ended(5))
    assert rig.heard == []
    await rig.until(lambda: bool(rig.heard))
    assert rig.heard == [(OWN, Ended(5))]


async def test_other_acceptors_come_and_go(rig: Rig, context: zmq.Context, directory: Path) -> None:
    loop = asyncio.get_running_loop()
    others = {"a1.1": f"ipc://{directory}/a1.1.bus", OWN: rig.endpoint}
    inbox: list[tuple[str, Frame]] = []
    bound = RouterSocket(
        loop, context, others["a1.1"], lambda peer, parts: inbox.append((peer, decode(parts)))
    )
    rig.links.to_acceptor("a1.1", Ended(1))
    rig.links.membership(membership(1, "w0.1", acceptors=tuple(others.items())))
    rig.links.membership(membership(2, "w0.1", acceptors=tuple(others.items())))
    rig.links.to_acceptor("a1.1", Ended(2))
    await eventually(lambda: inbox)
    assert inbox == [(OWN, Ended(2))]
    assert rig.gone == []

    bound.send(OWN, [b"nothing is expected here"])
    await eventually(lambda: rig.links.bad_frames == 1)
    rig.links.membership(membership(3, "w0.1", acceptors=((OWN, rig.endpoint),)))
    rig.links.to_acceptor("a1.1", Ended(3))
    bound.close()


async def test_a_dead_acceptor_is_reported_when_the_worker_knows_of_it(
    rig: Rig, new_worker: MakeWorker, directory: Path
) -> None:
    """A worker told before would route what is sent again to streams that are no more."""
    other = ("a1.1", f"ipc://{directory}/a1.1.bus")
    worker = new_worker("w0.1")
    rig.links.membership(membership(1, "w0.1", acceptors=((OWN, rig.endpoint), other)))
    worker.send(Joined(1))
    await eventually(lambda: rig.announced)
    rig.links.membership(membership(2, "w0.1", acceptors=((OWN, rig.endpoint),)))
    assert rig.gone == []
    worker.send(Joined(2))
    await eventually(lambda: rig.gone)
    assert rig.gone == [("a1.1", ALL)]
