"""The router's address as a hosted domain: asked for, held, taken over, and given up."""

import asyncio
from typing import Any

import pytest

from router.acceptor.connection import Connection
from router.acceptor.e2e import port as module
from router.acceptor.e2e.port import Attachment
from router.acceptor.openings import Openings
from router.config import Config, Domain, E2e
from router.wire.frames import Attach, Attached, Detached, Forward, Frame
from router.wire.shard import shard_of
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import Changing

RELAY = "relay.montague.example"
ASKING = DomainPair("capulet.example", RELAY)


class Bench(Changing):
    """An attachment, and what it told whom."""

    def __init__(self, tmp_path: Any) -> None:
        super().__init__()
        config = Config(
            domains={"montague.example": Domain("component", secret="x")}, e2e=E2e(RELAY)
        )
        loop = asyncio.get_running_loop()
        self.told: list[tuple[int | None, Frame]] = []
        self.story: list[str] = []
        self.taken: list[bytes] = []
        self.attached: dict[str, Connection] = {}
        hub: Any = self
        self.openings = Openings(hub, loop, config)
        self.attachment = Attachment(
            hub,
            loop,
            RELAY,
            self.openings,
            self,
            self.attached,
            self.taken.append,
            lambda: self.story.append("began"),
            lambda: self.story.append("ended"),
        )

    def to_shard(self, shard: int, frame: Frame) -> None:
        self.told.append((shard, frame))
        self.changed()

    def to_all_workers(self, frame: Frame) -> None:
        self.told.append((None, frame))

    def asked(self) -> int:
        return sum(isinstance(frame, Attach) for _, frame in self.told)


@pytest.fixture
async def bench(tmp_path: Any) -> Bench:
    return Bench(tmp_path)


async def test_it_asks_until_it_is_answered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.001)
    await bench.until(lambda: bench.asked() == 3)
    number = bench.attachment.port.number
    assert bench.told[0] == (shard_of(RELAY, RELAY), Attach(number, RELAY, number))
    assert not bench.attachment.is_held()
    bench.attachment.answered(True)
    assert bench.attached == {RELAY: bench.attachment.port}
    assert bench.told[-1] == (None, Attached(RELAY, number))
    assert bench.story == ["began"]


@pytest.mark.clause("CMP-02")
async def test_one_that_was_refused_asks_again_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TAKEN_OVER_S", 0.001)
    await bench.until(lambda: bench.asked() == 1)
    bench.attachment.answered(False)
    await bench.until(lambda: bench.asked() == 2)
    assert bench.attached == {}


async def test_stanzas_for_the_address_are_done_once_they_are_taken(bench: Bench) -> None:
    port = bench.attachment.port
    assert not port.may_send(ASKING)
    bench.attachment.answered(True)
    assert port.may_send(ASKING)
    assert not port.may_send(ASKING.inverse())
    run = Forward("a0.1", 5, 1, 1, Counts(0, 0, 1), ASKING, 1, port.number, 0, b"<iq/>")
    port.outlet.take(run, 1)
    port.send_run(ASKING, b"<iq/>", 1)
    assert bench.taken == [b"<iq/>"]
    assert [report.done for _, report in port.outlet.reports()] == [1]


async def test_it_is_given_up_once(bench: Bench) -> None:
    bench.attachment.answered(True)
    bench.attachment.port.close()
    bench.attachment.leave()
    number = bench.attachment.port.number
    assert bench.told.count((None, Detached(RELAY, number))) == 1
    assert (bench.attached, bench.openings.open) == ({}, {})
    assert bench.story == ["began", "ended"]
    bench.attachment.answered(True)
    assert bench.attached == {}
