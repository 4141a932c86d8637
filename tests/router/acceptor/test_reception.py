"""Whose a frame is, what a worker with an old table is told, and what is refused without room."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.acceptor.reception import Reception
from router.wire.frames import (
    AttachAnswer,
    Detached,
    Dial,
    DialFailed,
    Forward,
    Frame,
    Joined,
    Release,
    Revoked,
    Verified,
    VerifyKey,
)
from router.wire.shard import shard_of
from router.xmpp.component import ComponentStream
from router.xmpp.pair import DomainPair
from router.xmpp.stanza import Counts
from tests.support.acceptors import Sent, connection_of
from tests.support.pump import CAPULET, MONTAGUE, NOW, PAIR, authenticated, ids, policy

WORKER = "w0.1"
KEY = VerifyKey("a1.1", 7, PAIR.inverse(), "id", "key")


@dataclass
class Others:
    """In place of the ingress, the egress, the dialer and all the rest: what they were asked."""

    carries: bool = True
    has_room: bool = True
    asked: list[tuple[str, Any]] = field(default_factory=list)
    at_hand: bool = False

    def forward(self, connection: object, frame: Forward) -> bool:
        self.asked.append(("forward", connection))
        return self.carries

    def service_answered(self, frame: AttachAnswer) -> None:
        self.asked.append(("attach", frame))

    def release(self, connection: object, pair: DomainPair) -> None:
        self.asked.append(("release", pair))

    def dial(self, pair: DomainPair) -> None:
        self.asked.append(("dial", pair))

    def verify(self, frame: VerifyKey) -> None:
        self.asked.append(("verify", frame))

    def verify_at_hand(self, frame: VerifyKey, otherwise: Any) -> None:
        self.asked.append(("at hand", frame))
        if not self.at_hand:
            otherwise()

    def has_place(self, is_open: int) -> bool:
        return self.has_room

    admits = has_place

    def find(self, number: int) -> None:
        return None

    def waiting(self) -> list[Any]:
        return []

    def __getattr__(self, name: str) -> Any:
        return lambda *what: self.asked.append((name, what))


class Rig:
    def __init__(self) -> None:
        self.others: Any = Others()
        self.sent = Sent()
        self.workers: list[tuple[str, Frame]] = []
        self.connections: dict[int, Any] = {}
        others = self.others
        self.reception = Reception(
            self.connections,
            others,
            others,
            others,
            others,
            others,
            others,
            others.service_answered,
            clock=lambda: NOW,
            to_shard=self.sent.to_shard,
            to_acceptor=self.sent.to_acceptor,
            to_worker=lambda worker, frame: self.workers.append((worker, frame)),
        )

    def forwards(self, stream: int = 3, pair: DomainPair = PAIR) -> None:
        run = Forward("a0.1", 5, 1, 1, Counts(1, 0, 0), pair, 1, stream, 0, b"<message/>")
        self.reception.take(WORKER, run)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_worker_that_is_right_is_told_nothing(rig: Rig) -> None:
    rig.forwards()
    assert rig.others.asked == [("forward", None)]
    assert rig.workers == []


def test_a_worker_that_knows_a_stream_that_is_gone_is_told_so(rig: Rig) -> None:
    rig.others.carries = False
    rig.forwards()
    assert rig.workers == [(WORKER, Detached(PAIR.target, 3)), (WORKER, Revoked(3, PAIR))]


async def test_a_worker_that_believes_in_a_grant_that_is_not_there_is_told_so(rig: Rig) -> None:
    rig.others.carries = False
    rig.connections[3] = connection_of(authenticated(policy(MONTAGUE)), number=3)
    rig.forwards()
    assert rig.workers == [(WORKER, Revoked(3, PAIR))]


async def test_a_worker_that_believes_in_an_attachment_that_is_over_is_told_so(rig: Rig) -> None:
    rig.others.carries = False
    core = ComponentStream(policy(MONTAGUE), ids(), {MONTAGUE: "s3cr3t"}, NOW)
    rig.connections[3] = connection_of(core, number=3, leg="component")
    rig.forwards(pair=PAIR.inverse())
    assert rig.workers == [(WORKER, Detached(PAIR.sender, 3))]


def test_while_there_is_room_everything_is_asked_of_the_dialer(rig: Rig) -> None:
    rig.reception.take(WORKER, Dial(PAIR))
    rig.reception.take(WORKER, KEY)
    assert rig.others.asked == [("dial", PAIR), ("verify", KEY)]


def test_without_a_place_a_dial_fails_at_once(rig: Rig) -> None:
    rig.others.has_room = False
    rig.reception.take(WORKER, Dial(PAIR))
    ((shard, failed),) = rig.sent.shards
    assert shard == shard_of(*PAIR)
    assert isinstance(failed, DialFailed)
    assert (failed.pair, failed.condition, failed.type) == (PAIR, "resource-constraint", "wait")
    assert rig.others.asked == []


@pytest.mark.parametrize("at_hand", [True, False])
def test_without_room_a_key_is_asked_about_on_a_stream_that_there_is_or_refused(
    rig: Rig, at_hand: bool
) -> None:
    rig.others.has_room, rig.others.at_hand = False, at_hand
    rig.reception.take(WORKER, KEY)
    assert rig.others.asked == [("at hand", KEY)]
    refusals = [] if at_hand else [("a1.1", Verified(7, "resource-constraint"))]
    assert rig.sent.acceptors == refusals


def test_a_pair_is_released_on_the_stream_that_is_named(rig: Rig) -> None:
    rig.reception.take(WORKER, Release(3, PAIR))
    assert rig.others.asked == []  # it is gone, and its lanes with it
    rig.connections[3] = object()
    rig.reception.take(WORKER, Release(3, PAIR))
    assert rig.others.asked == [("release", PAIR)]


def test_the_word_on_who_has_the_routers_address_is_passed_on(rig: Rig) -> None:
    rig.reception.take(WORKER, AttachAnswer(9, True))
    assert rig.others.asked == [("attach", AttachAnswer(9, True))]


def test_a_frame_that_is_nobodys_is_an_error(rig: Rig) -> None:
    with capture_logs() as logs:
        rig.reception.take(WORKER, Joined(1))
    assert [entry["event"] for entry in logs] == ["bus.unexpected_frame"]
    assert CAPULET not in str(logs)
