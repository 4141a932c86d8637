"""The test hook of workers: off unless asked for in private, and exact when it is."""

import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from router.config import Config, Domain
from router.wire.bus import DealerSocket
from router.wire.codec import encode
from router.wire.control import Membership
from router.wire.frames import Announced, Data, Dial, Forward, Frame, Reject
from router.wire.shard import SHARDS
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from workers import __main__ as command
from workers import failpoints
from workers.failpoints import ANY, ARM, POISON, POISONED, STEPS, Armed, FailingWorker
from workers.outbox import Send
from workers.process import Worker

ACCEPTOR, WORKER = "a0.1", "w2.7"
PAIR = DomainPair("capulet.example", "montague.example")
CONFIG = Config(domains={"montague.example": Domain("component", secret="wherefore")})
NOBODY = Membership(1, (), ("",) * SHARDS, (0,) * SHARDS)
REJECT = Reject(1, 1, 1, 1, "gone", "cancel", "")
FORWARD = Forward(ACCEPTOR, 1, 1, 1, Counts(1, 0, 0), PAIR, 1, 1, 0, b"<message/>")


def data(octets: bytes = b"<message/>") -> Data:
    return Data(1, 1, 1, Counts(1, 0, 0), PAIR, 1, None, octets)


class Taking:
    """A bus socket that takes everything."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, parts: list[bytes]) -> bool:
        self.sent += 1
        return True


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that the environment names."""
    directory = tmp_path / "failpoints"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv(failpoints.VARIABLE, str(directory))
    return directory


class Deaths:
    """What would have ended the process."""

    def __init__(self, bus: Taking) -> None:
        self.bus = bus
        self.sent_by_then: list[int] = []
        self.codes: list[int] = []

    def kill(self, pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGKILL)
        self.sent_by_then.append(self.bus.sent)


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Deaths:
    found = Deaths(Taking())
    monkeypatch.setattr(failpoints.os, "kill", found.kill)
    monkeypatch.setattr(failpoints.os, "_exit", found.codes.append)
    return found


@pytest.fixture
async def worker(where: Path, deaths: Deaths) -> AsyncIterator[FailingWorker]:
    (where / POISON).write_bytes(b"a cup of this")
    made = command._worker(WORKER, CONFIG)
    assert isinstance(made, FailingWorker)
    made._acceptors[ACCEPTOR] = cast(DealerSocket, deaths.bus)
    yield made
    made._context.term()


def arm(where: Path, step: str, worker: str = WORKER, count: int = 1) -> None:
    (where / ARM).write_text(Armed(step, worker, count, 0.0).written())


def come_to(worker: FailingWorker, step: str) -> None:
    """What leads a worker to the step."""
    frames: dict[str, list[Frame]] = {
        "routed": [FORWARD],
        "half": [FORWARD] * 4,
        "forwarded": [FORWARD] * 4,
        "reject": [REJECT],
        "dial": [Dial(PAIR.inverse())],
    }
    match step:
        case "membership" | "joined":
            del worker._acceptors[ACCEPTOR]
            worker._membership(NOBODY)
        case "announced":
            worker._received(ACCEPTOR, list(encode(Announced(1))))
        case "received":
            worker._received(ACCEPTOR, list(encode(data())))
        case _:
            worker._send_all([Send(ACCEPTOR, frame) for frame in frames[step]])


async def test_without_the_variable_a_worker_is_a_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(failpoints.VARIABLE, raising=False)
    assert failpoints.directory() is None
    plain = command._worker(WORKER, CONFIG)
    assert type(plain) is Worker
    plain._context.term()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_enter_is_refused(where: Path, mode: int) -> None:
    assert failpoints.directory() == where
    where.chmod(mode)
    with pytest.raises(ValueError, match="0700"):
        failpoints.directory()


def test_a_link_or_a_file_is_refused(
    where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(where)
    file.touch(mode=stat.S_IRUSR)
    for each in (link, file):
        monkeypatch.setenv(failpoints.VARIABLE, str(each))
        with pytest.raises(ValueError, match="0700"):
            failpoints.directory()


def test_what_is_armed_is_read_as_it_was_written() -> None:
    armed = Armed("half", "w0.3", 4, 0.002)
    assert Armed.parse(armed.written()) == armed
    for text in ("nowhere w0.3 4 2", "half w0.3 four 2", "half w0.3"):
        with pytest.raises(ValueError, match=r"."):
            Armed.parse(text)


@pytest.mark.parametrize("step", STEPS)
async def test_each_step_is_reached(
    worker: FailingWorker, where: Path, deaths: Deaths, step: str
) -> None:
    arm(where, step)
    come_to(worker, step)
    assert len(deaths.sent_by_then) == 1
    assert not (where / ARM).exists()
    of_four = {"half": 2, "forwarded": 4}
    assert deaths.sent_by_then[0] == of_four.get(step, 0)


async def test_it_dies_at_the_pass_it_was_told_and_once(
    worker: FailingWorker, where: Path, deaths: Deaths
) -> None:
    arm(where, "reject", count=3)
    for _ in range(5):
        come_to(worker, "reject")
    assert deaths.sent_by_then == [2]


async def test_another_step_or_another_worker_is_left_alone(
    worker: FailingWorker, where: Path, deaths: Deaths
) -> None:
    arm(where, "reject", worker="w2.6")
    come_to(worker, "reject")
    arm(where, "reject")
    come_to(worker, "dial")
    assert deaths.sent_by_then == []
    arm(where, "dial", worker=ANY)
    come_to(worker, "dial")
    assert len(deaths.sent_by_then) == 1


async def test_poison_ends_the_worker_that_gets_it(worker: FailingWorker, deaths: Deaths) -> None:
    worker._received(ACCEPTOR, list(encode(data(b"<message>wine</message>"))))
    assert deaths.codes == []
    worker._received(ACCEPTOR, list(encode(data(b"<message>a cup of this</message>"))))
    assert deaths.codes == [POISONED]
