"""The acceptor on the real bus: who is told what, in which order, and who is not told at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from router.acceptor.links import Links
from router.wire.bus import DealerSocket, RouterSocket
from router.wire.codec import decode, encode
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
    Sync,
    Synced,
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
        self.came: list[set[str]] = []
        self.gone: list[str] = []
        self.lost: list[tuple[str, frozenset[int], bool]] = []
        self.crashed: list[frozenset[int]] = []
        self.context = context
        self.endpoint = f"ipc://{directory}/{OWN}.bus"
        self.links = Links(
            asyncio.get_running_loop(),
            context,
            OWN,
            self.endpoint,
            on_frame=self._on_frame,
            announce=self._announce,
            replay=self._replay,
            came=lambda: self.came.append(self.links.leases.acceptors.copy()),
            gone=self.gone.append,
            lost=lambda *which: self.lost.append(which),
            crashed=self.crashed.append,
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
    rig.links.membership(membership(5, "w0.1", generation=5))
    worker.send(Joined(5))
    await worker.hears(Announced, version=5)
    assert rig.replayed == [ALL, ALL], "the same worker, but another lease"


async def test_generations_are_those_of_the_last_membership(rig: Rig) -> None:
    leases = rig.links.leases
    rig.links.membership(membership(1, "w0.1", generation=5))
    assert leases.generations == [5] * SHARDS
    assert leases.owners == ["w0.1"] * SHARDS
    assert leases.fences == [5] * SHARDS
    assert not any(leases.live)


async def test_shards_whose_worker_crashed_are_named(rig: Rig) -> None:
    rig.links.membership(membership(1, "w0.1", "w1.1"))
    crash = replace(membership(2, "w0.1", "w2.1", generation=2), crashed=("w9.1", "w1.1"))
    rig.links.membership(crash)
    assert rig.crashed == [HIGH]
    rig.links.membership(replace(crash, version=3))
    assert rig.crashed == [HIGH]


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
    rig.links.to_acceptor(OWN, Ended(5, 9))
    assert rig.heard == []
    await rig.until(lambda: bool(rig.heard))
    assert rig.heard == [(OWN, Ended(5, 9))]


async def test_other_acceptors_come_and_go(rig: Rig, context: zmq.Context, directory: Path) -> None:
    loop = asyncio.get_running_loop()
    others = {"a1.1": f"ipc://{directory}/a1.1.bus", OWN: rig.endpoint}
    inbox: list[tuple[str, Frame]] = []
    bound = RouterSocket(
        loop, context, others["a1.1"], lambda peer, parts: inbox.append((peer, decode(parts)))
    )
    rig.links.to_acceptor("a1.1", Ended(1, 9))
    rig.links.membership(membership(1, "w0.1", acceptors=tuple(others.items())))
    rig.links.membership(membership(2, "w0.1", acceptors=tuple(others.items())))
    rig.links.to_acceptor("a1.1", Ended(2, 9))
    await eventually(lambda: (OWN, Ended(2, 9)) in inbox)
    assert [f for _, f in inbox if isinstance(f, Ended)] == [Ended(1, 9), Ended(2, 9)]
    assert rig.gone == []
    assert rig.came == [{OWN, "a1.1"}], "told once, when it can be reached"

    bound.send(OWN, [b"nothing is expected here"])
    await eventually(lambda: rig.links.bad_frames == 1)
    rig.links.membership(membership(3, "w0.1", acceptors=((OWN, rig.endpoint),)))
    rig.links.to_acceptor("a1.1", Ended(3, 9))
    assert (len(rig.came), rig.links.leases.acceptors) == (1, {OWN})
    bound.close()


class Other:
    """Another acceptor's place on the bus; answers nothing by itself."""

    def __init__(self, context: zmq.Context, directory: Path, name: str = "a1.1") -> None:
        self.name = name
        self.endpoint = f"ipc://{directory}/{name}.bus"
        self.heard: list[Frame] = []
        self._router = RouterSocket(
            asyncio.get_running_loop(),
            context,
            self.endpoint,
            lambda peer, parts: self.heard.append(decode(parts)),
        )

    async def asked(self) -> Sync:
        """The latest question, once it has come."""
        await eventually(lambda: any(isinstance(frame, Sync) for frame in self.heard))
        return next(frame for frame in reversed(self.heard) if isinstance(frame, Sync))

    def close(self) -> None:
        self._router.close()


@pytest.fixture
async def other(context: zmq.Context, directory: Path) -> AsyncIterator[Other]:
    other = Other(context, directory)
    yield other
    other.close()


async def test_what_is_for_an_acceptor_that_is_still_to_come_waits_for_it(
    rig: Rig, other: Other
) -> None:
    """It has heard of us and asks, before the supervisor's word of it has reached us."""
    own = (OWN, rig.endpoint)
    rig.links.to_acceptor(other.name, Synced(5))
    for stranger in ("a9.0", "nobody"):
        rig.links.to_acceptor(stranger, Synced(5))
    rig.links.membership(membership(1, "w0.1", acceptors=(own, (other.name, other.endpoint))))
    rig.links.to_acceptor(other.name, Synced(6))
    await eventually(lambda: Synced(6) in other.heard)
    assert [frame for frame in other.heard if isinstance(frame, Synced)] == [Synced(5), Synced(6)]


async def test_runs_go_to_a_new_owner_once_everybody_has_said_what_it_took(
    rig: Rig, new_worker: MakeWorker, other: Other
) -> None:
    here = ((OWN, rig.endpoint), (other.name, other.endpoint))
    worker = new_worker("w0.1")
    rig.links.membership(membership(1, "w0.1", generation=4, acceptors=here))
    worker.send(Joined(1))
    await worker.hears(Announced)
    question = await other.asked()
    assert question.shards == tuple((shard, 4) for shard in range(SHARDS))
    (sync,) = [frame for _, frame in rig.heard if isinstance(frame, Sync)]
    assert sync == question, "it asks itself as well"
    rig.links.to_acceptor(OWN, Synced(question.number))
    rig.links.to_shard(3, Revoked(77, PAIR))
    await worker.hears(Revoked, stream=77)
    assert rig.replayed == [], "news, but no stanzas"
    assert not any(rig.links.leases.live)

    answering = DealerSocket(
        asyncio.get_running_loop(), rig.context, rig.endpoint, other.name, lambda _: None
    )
    answering.send(encode(Synced(question.number)))
    await eventually(lambda: rig.replayed)
    assert rig.replayed == [ALL]
    assert all(rig.links.leases.live)
    answering.close()


async def test_an_acceptor_that_is_gone_need_not_answer(
    rig: Rig, new_worker: MakeWorker, other: Other
) -> None:
    own = (OWN, rig.endpoint)
    worker = new_worker("w0.1")
    rig.links.membership(membership(1, "w0.1", acceptors=(own, (other.name, other.endpoint))))
    worker.send(Joined(1))
    question = await other.asked()
    rig.links.to_acceptor(OWN, Synced(question.number))
    await worker.hears(Announced)
    assert rig.replayed == []
    rig.links.membership(membership(2, "w0.1", acceptors=(own,)))
    worker.send(Joined(2))
    await eventually(lambda: rig.replayed)
    assert rig.gone == ["a1.1"]


async def test_what_went_to_a_dead_acceptor_is_known_when_the_worker_knows_of_its_death(
    rig: Rig, new_worker: MakeWorker, other: Other
) -> None:
    worker = new_worker("w0.1")
    own = (OWN, rig.endpoint)
    rig.links.membership(membership(1, "w0.1", acceptors=(own, (other.name, other.endpoint))))
    worker.send(Joined(1))
    await worker.hears(Announced)
    question = await other.asked()
    for acceptor in (OWN, other.name):
        rig.links.happened(acceptor, Synced(question.number))
    rig.links.membership(membership(2, "w0.1", acceptors=(own,)))
    assert (rig.gone, rig.lost) == (["a1.1"], [])
    worker.send(Joined(2))
    await eventually(lambda: rig.lost)
    assert rig.lost == [("a1.1", ALL, True)]


async def test_what_went_to_a_dead_acceptor_is_never_known_where_the_worker_died_as_well(
    rig: Rig, new_worker: MakeWorker, other: Other
) -> None:
    """Said when the next one begins, after all that live have told what they took."""
    first, second, third = map(new_worker, ("w0.1", "w1.1", "w2.1"))
    own = (OWN, rig.endpoint)
    both = (own, (other.name, other.endpoint))
    rig.links.membership(membership(1, "w0.1", "w1.1", acceptors=both))
    for worker in (first, second):
        worker.send(Joined(1))
        await worker.hears(Announced)
    question = await other.asked()
    for acceptor in (OWN, other.name):
        rig.links.happened(acceptor, Synced(question.number))
    assert rig.replayed == [LOW, HIGH]

    rig.links.membership(membership(2, "w0.1", "w2.1", acceptors=(own,)))
    third.send(Joined(2))
    await third.hears(Announced)
    assert rig.lost == []
    (*_, latest) = [frame for _, frame in rig.heard if isinstance(frame, Sync)]
    rig.links.happened(OWN, Synced(latest.number))
    assert rig.lost == [("a1.1", HIGH, False)]
    assert rig.replayed[2:] == [HIGH]
    first.send(Joined(2))
    await eventually(lambda: len(rig.lost) > 1)
    assert rig.lost[1:] == [("a1.1", LOW, True)]


# --- processes of the version before ---


async def test_an_acceptor_of_the_version_before_is_spoken_to_in_its_form_and_not_waited_for(
    rig: Rig, new_worker: MakeWorker, context: zmq.Context, directory: Path
) -> None:
    seen: list[bytes] = []
    endpoint = f"ipc://{directory}/a1.1.bus"
    earlier = RouterSocket(
        asyncio.get_running_loop(), context, endpoint, lambda _, parts: seen.append(parts[0])
    )
    here = ((OWN, rig.endpoint), ("a1.1", endpoint))
    worker = new_worker("w0.1")
    rig.links.membership(replace(membership(1, "w0.1", acceptors=here), speaks=(("a1.1", 1),)))
    worker.send(Joined(1))
    await worker.hears(Announced)
    (sync,) = [frame for _, frame in rig.heard if isinstance(frame, Sync)]
    rig.links.happened(OWN, Synced(sync.number))
    assert rig.replayed == [ALL], "its answer would never come"
    for frame in (Synced(7), Ended(5, 9)):
        rig.links.to_acceptor("a1.1", frame)
    await eventually(lambda: seen)
    assert seen == encode(Ended(5, 9), 1)
    rig.links.membership(membership(2, "w0.1", acceptors=here))
    rig.links.to_acceptor("a1.1", Ended(6, 9))
    await eventually(lambda: encode(Ended(6, 9))[0] in seen)
    earlier.close()


async def test_a_worker_of_the_version_before_does_not_tell_what_went_to_an_acceptor_that_died(
    rig: Rig, new_worker: MakeWorker, other: Other
) -> None:
    worker = new_worker("w0.1")
    own = (OWN, rig.endpoint)
    both = (own, (other.name, other.endpoint))
    earlier = (("w0.1", 1),)
    rig.links.membership(replace(membership(1, "w0.1", acceptors=both), speaks=earlier))
    worker.send(Joined(1))
    await worker.hears(Announced)
    question = await other.asked()
    for acceptor in (OWN, other.name):
        rig.links.happened(acceptor, Synced(question.number))
    rig.links.membership(replace(membership(2, "w0.1", acceptors=(own,)), speaks=earlier))
    worker.send(Joined(2))
    await eventually(lambda: rig.lost)
    assert rig.lost == [("a1.1", ALL, False)]
