"""A worker as the supervisor and the acceptors see it: a real process on a real bus."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import zmq

from router.config import Config, Domain, Limits, write_snapshot
from router.wire.bus import RouterSocket
from router.wire.codec import decode, encode
from router.wire.control import (
    Answer,
    Ask,
    Beat,
    Drain,
    Hello,
    Leaving,
    Membership,
    Message,
    Ready,
    Reload,
    Reloaded,
)
from router.wire.control_link import ControlLink
from router.wire.endpoints import CONTROL_SOCKET, bus_endpoint
from router.wire.frames import (
    Announced,
    Attached,
    Data,
    Dial,
    Forward,
    Frame,
    Granted,
    Joined,
    Reject,
    Retire,
    StreamId,
)
from router.wire.shard import SHARDS
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.eventually import eventually
from workers import process
from workers.process import Worker

A, B = "a0.1", "a1.1"
WORKER = "w2.7"
OUT = DomainPair("montague.example", "capulet.example")
CONFIG = Config(domains={"montague.example": Domain("component", secret="wherefore")})
T = TypeVar("T", bound=Message)

pytestmark = pytest.mark.processes


def run(pair: DomainPair = OUT, *, lane: int = 1, egress: StreamId | None = None) -> Data:
    return Data(lane, 1, 1, Counts(1, 0, 0), pair, 1, egress, b"<message/>")


def forward(owner: str, stream: int, pair: DomainPair = OUT, lane: int = 1) -> Forward:
    return Forward(owner, lane, 1, 1, Counts(1, 0, 0), pair, 1, stream, 0, b"<message/>")


class Surroundings:
    """Supervisor and acceptors of one worker: what it said to each, and a way to speak."""

    def __init__(self, run_dir: Path, context: zmq.Context) -> None:
        self.run_dir = run_dir
        self._loop = asyncio.get_running_loop()
        self._context = context
        self.told: list[Message] = []
        self.heard: list[tuple[str, str, Frame]] = []
        self._acceptors: dict[str, RouterSocket] = {}
        self.link: ControlLink | None = None
        self.version = 0

    async def open(self) -> None:
        self._server = await self._loop.create_unix_server(
            self._accept, self.run_dir / CONTROL_SOCKET
        )

    def close_door(self) -> None:
        self._server.close()

    def _accept(self) -> ControlLink:
        self.link = ControlLink(self.told.append, lambda: None)
        return self.link

    def acceptor(self, acceptor: str) -> None:
        def heard(worker: str, parts: list[bytes]) -> None:
            self.heard.append((acceptor, worker, decode(parts)))

        self._acceptors[acceptor] = RouterSocket(
            self._loop, self._context, bus_endpoint(self.run_dir, acceptor), heard
        )

    def tell(self, message: Message) -> None:
        assert self.link is not None
        self.link.send(message)

    def membership(self, *acceptors: str, speaks: tuple[tuple[str, int], ...] = ()) -> None:
        self.version += 1
        endpoints = tuple((each, bus_endpoint(self.run_dir, each)) for each in acceptors)
        owners, generations = (WORKER,) * SHARDS, (1,) * SHARDS
        self.tell(Membership(self.version, endpoints, owners, generations, speaks=speaks))

    def say(self, acceptor: str, *frames: Frame) -> None:
        for frame in frames:
            assert self._acceptors[acceptor].send(WORKER, encode(frame))

    def say_nonsense(self, acceptor: str) -> None:
        assert self._acceptors[acceptor].send(WORKER, [b"nonsense"])

    async def hears(self, acceptor: str, frame: Frame) -> None:
        await eventually(lambda: (acceptor, WORKER, frame) in self.heard)

    async def is_told(self, kind: type[T], fits: Callable[[T], bool] = lambda _: True) -> T:
        def look() -> list[T]:
            return [each for each in self.told if isinstance(each, kind) and fits(each)]

        return (await eventually(look))[-1]

    async def introduce(self, *acceptors: str) -> None:
        for acceptor in acceptors:
            self.acceptor(acceptor)
        self.membership(*acceptors)
        for acceptor in acceptors:
            await self.hears(acceptor, Joined(self.version))
            self.say(acceptor, Announced(self.version))

    def close(self) -> None:
        for router in self._acceptors.values():
            router.close()
        self._server.close()
        if self.link is not None:
            self.link.close()


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq.Context(io_threads=1) as context:
        yield context
        context.destroy(linger=0)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
async def around(run_dir: Path, context: zmq.Context) -> AsyncIterator[Surroundings]:
    surroundings = Surroundings(run_dir, context)
    await surroundings.open()
    yield surroundings
    surroundings.close()


async def start(run_dir: Path, config: Config = CONFIG) -> asyncio.subprocess.Process:
    write_snapshot(config, run_dir / "config.json")
    arguments = ["--config", run_dir / "config.json", "--control", run_dir / CONTROL_SOCKET]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", *arguments, "--slot", "2", "--incarnation", "7"
    )


@pytest.fixture
async def worker(around: Surroundings) -> AsyncIterator[asyncio.subprocess.Process]:
    running = await start(around.run_dir)
    await around.is_told(Ready)
    yield running
    if running.returncode is None:
        running.kill()
        await running.wait()


async def ends(worker: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(10):
        return await worker.wait()


async def test_it_reports_in_and_beats(around, worker):
    assert around.told[:2] == [Hello(WORKER, worker.pid, CONFIG.digest()), Ready()]
    beat = await around.is_told(Beat)
    assert beat.counters == (("causeway_backlog_bytes", (), 0),)


async def test_frames_in_frames_out(around, worker):
    await around.introduce(A, B)
    around.say(B, Attached("montague.example", 4), Granted(9, OUT, False, "external"))
    around.say(B, run(), run(OUT.inverse(), lane=2))
    await around.hears(B, forward(B, 9))
    await around.hears(B, forward(B, 4, OUT.inverse(), lane=2))
    around.say(A, run(egress=StreamId(B, 9)))
    await around.hears(B, forward(A, 9))


async def test_an_acceptor_of_the_version_before_gets_the_form_it_knows(around, worker):
    await around.introduce(A, B)
    around.say(B, Granted(9, OUT, False, "external"))
    around.say(A, run())
    await around.hears(B, forward(A, 9))
    around.membership(A, B, speaks=((B, 1),))
    await around.hears(B, Joined(2))
    for acceptor in (A, B):
        around.say(acceptor, Announced(2))
    around.say(A, replace(run(), first=2))
    await around.hears(B, replace(forward(A, 9), first=2))  # "after" is 1 in the form of today


async def test_nonsense_is_dropped_and_the_next_frame_is_heard(around, worker):
    await around.introduce(A)
    around.say_nonsense(A)
    around.say(A, run())
    await around.hears(A, Dial(OUT))


async def test_what_waits_is_counted_and_shown(around, worker):
    await around.introduce(A)
    around.say(A, run())
    await around.is_told(Beat, lambda beat: beat.counters == (("causeway_backlog_bytes", (), 10),))
    around.tell(Ask(5, "pairs"))
    answer = await around.is_told(Answer)
    assert answer.request == 5
    (row,) = answer.rows
    assert (row["local"], row["remote"], row["backlog_stanzas"]) == (*OUT, 1)
    assert row["dialling"] == (A,)


async def test_one_pair_is_explained_whichever_way_it_is_asked_for(around, worker):
    await around.introduce(A)
    around.say(A, run())
    around.say(A, run(OUT._replace(target="tybalt.example"), lane=2))
    await around.hears(A, Dial(OUT._replace(target="tybalt.example")))  # and so it knows of both
    for number, pair in enumerate((OUT, OUT.inverse(), ("montague.example", "b.example"))):
        around.tell(Ask(number, "explain", tuple(pair)))
        answer = await around.is_told(Answer, lambda answer, n=number: answer.request == n)
        found = [(row["local"], row["remote"]) for row in answer.rows]
        assert found == ([tuple(OUT)] if number < 2 else [])


async def test_what_waits_too_long_is_refused_without_being_asked(around):
    impatient = replace(CONFIG, limits=Limits(backlog_s=0.2))
    worker = await start(around.run_dir, impatient)
    await around.is_told(Ready)
    await around.introduce(A)
    around.say(A, run())
    text = "no stream in time"
    await around.hears(A, Reject(1, 1, 1, 1, "remote-server-timeout", "wait", text))
    around.tell(Drain(5))
    assert await ends(worker) == 0


async def test_more_may_arrive_when_a_deadline_has_just_come(around):
    """Timers go by whole milliseconds: some fire shortly before their deadline."""
    worker = await start(around.run_dir, replace(CONFIG, limits=Limits(backlog_s=0.1004)))
    await around.is_told(Ready)
    await around.introduce(A)
    lanes = range(1, 301)
    for lane in lanes:
        around.say(A, run(lane=lane))
        await asyncio.sleep(0.001)
    text = "no stream in time"
    await around.hears(A, Reject(lanes[-1], 1, 1, 1, "remote-server-timeout", "wait", text))
    assert sum(isinstance(frame, Reject) for _, _, frame in around.heard) == len(lanes)
    around.tell(Drain(5))
    assert await ends(worker) == 0


@pytest.mark.clause("CMP-06")
async def test_what_waits_for_a_component_waits_no_longer_than_for_the_drain(around, worker):
    await around.introduce(A)
    around.say(A, run(OUT.inverse()))
    await around.is_told(Beat, lambda beat: beat.counters == (("causeway_backlog_bytes", (), 10),))
    around.tell(Drain(1))
    text = "not attached"
    await around.hears(A, Reject(1, 1, 1, 1, "remote-server-timeout", "wait", text))


@pytest.mark.clause("BIDI-22")
async def test_a_double_dial_is_settled_though_a_later_deadline_was_set_before(around, worker):
    await around.introduce(A, B)
    around.say(A, run())  # waits for a stream, for 30 s at most
    await around.hears(A, Dial(OUT))
    around.say(B, Granted(9, OUT, False, "external"))
    around.say(A, Granted(5, OUT, True, "external"))
    await around.hears(A, Retire(5, OUT))


async def test_an_acceptor_that_goes_and_one_that_comes(around, worker):
    await around.introduce(A)
    around.say(A, run())
    await around.hears(A, Dial(OUT))
    around.acceptor(B)
    around.membership(B)
    await around.hears(B, Joined(2))
    await around.hears(B, Dial(OUT))
    around.say(B, Granted(9, OUT, True, "external"))
    await around.hears(B, forward(A, 9))


async def test_drained_it_ends_with_a_last_beat(around, worker):
    await around.introduce(A)
    around.tell(Drain(5))
    assert await ends(worker) == 0
    assert isinstance(around.told[-1], Beat)


async def test_the_earlier_phases_of_a_drain_are_not_its_business(around, worker):
    await around.introduce(A)
    around.tell(Drain(3))
    around.say(A, run())
    await around.hears(A, Dial(OUT))


async def test_sigint_is_ignored_and_sigterm_has_it_replaced_first(around, worker):
    await around.introduce(A)
    worker.send_signal(signal.SIGINT)
    around.say(A, run())
    await around.hears(A, Dial(OUT))
    worker.send_signal(signal.SIGTERM)
    await around.is_told(Leaving)
    around.say(A, run(lane=2))
    assert worker.returncode is None, "another one takes its shards first"
    around.tell(Drain(5))
    assert await ends(worker) == 0


async def test_a_second_sigterm_ends_it_at_once(around, worker):
    worker.send_signal(signal.SIGTERM)
    await around.is_told(Leaving)
    worker.send_signal(signal.SIGTERM)
    assert await ends(worker) == 0


async def test_without_its_supervisor_it_serves_on(around, worker):
    await around.introduce(A)
    around.link.close()
    around.say(A, run())
    await around.hears(A, Dial(OUT))
    assert worker.returncode is None


async def test_without_its_supervisor_it_ends_in_the_end(around, monkeypatch):
    monkeypatch.setattr(process, "ORPHAN_GRACE_S", 0.05)
    monkeypatch.setattr(process, "ORPHAN_DRAIN_S", 0.05)
    running = asyncio.create_task(
        Worker(WORKER, CONFIG).run(around.run_dir / CONTROL_SOCKET, around.run_dir / "config.json")
    )
    await around.is_told(Ready)
    around.close_door()
    around.link.close()
    assert await asyncio.wait_for(running, 10) == 0


async def test_another_supervisor_finds_it_as_it_is(around, worker):
    await around.introduce(A)
    around.told.clear()
    around.link.close()
    await around.is_told(Beat)
    assert around.told[:2] == [Hello(WORKER, worker.pid, CONFIG.digest()), Ready()]
    around.membership(A)
    await around.hears(A, Joined(2))
    around.tell(Drain(5))
    assert await ends(worker) == 0


async def test_a_new_snapshot_is_gone_by(around, worker):
    await around.introduce(A)
    around.say(A, run(OUT.inverse()))
    await around.is_told(Beat, lambda beat: beat.counters == (("causeway_backlog_bytes", (), 10),))
    write_snapshot(replace(CONFIG, domains={}), around.run_dir / "config.json")
    around.tell(Reload(4))
    assert await around.is_told(Reloaded) == Reloaded(4, ())
    text = "neither domain is hosted here"
    await around.hears(A, Reject(1, 1, 1, 1, "remote-server-not-found", "cancel", text))


async def test_a_bus_that_takes_nothing_ends_it(around, monkeypatch):
    monkeypatch.setattr(process.DealerSocket, "send", lambda *_: False)
    running = asyncio.create_task(
        Worker(WORKER, CONFIG).run(around.run_dir / CONTROL_SOCKET, around.run_dir / "config.json")
    )
    await around.is_told(Ready)
    around.acceptor(A)
    around.membership(A)
    assert await asyncio.wait_for(running, 10) == 1


async def test_with_nobody_to_supervise_it_cannot_start(run_dir):
    worker = await start(run_dir)
    assert await ends(worker) == 1
