"""When a peer is asked for its count, and when it is told ours."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from router.acceptor.acknowledgement import Acknowledgement
from router.wire.egress import Outlet
from router.xmpp import names
from router.xmpp.events import Event, StreamClosed
from router.xmpp.receiving import ReceivingStream
from tests.support.pump import MONTAGUE, NOW, PAIR, authenticated, policy, say

SM = f"xmlns='{names.STREAM_MANAGEMENT}'"
R = f"<r {SM}/>"
STANZA = b"<message/>"


@dataclass
class Clock:
    """A loop whose time a test moves; one timer at a time, as here there is."""

    now: float = NOW
    due: tuple[float, Any] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Any) -> "Clock":
        assert self.due is None
        self.due = (self.now + delay_s, callback)
        return self

    def cancel(self) -> None:
        self.due = None

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.due is not None and self.due[0] <= end:
            (self.now, callback), self.due = self.due, None
            callback()
        self.now = end


@dataclass
class Managed:
    """A managed bidi stream a peer opened, and what is written on it."""

    core: ReceivingStream
    clock: Clock = field(default_factory=Clock)
    outlet: Outlet = field(default_factory=lambda: Outlet(1, "tcp"))
    written: str = ""
    undelivered: int = 0
    closed: StreamClosed | None = None

    def __post_init__(self) -> None:
        self.acks = Acknowledgement(self.clock, self.core, self)  # type: ignore[arg-type]
        self.hear(f"<enable {SM}/>")
        self.said()

    def send_due(self) -> None:
        self.written += self.core.bytes_to_send().decode().replace('"', "'")

    def buffered(self) -> int:
        return 0

    def output(self) -> tuple[int, int]:
        return 100, 100 - self.undelivered

    def act(self, events: list[Event]) -> None:
        self.send_due()
        for event in events:
            if isinstance(event, StreamClosed):
                self.closed = event
            else:
                self.acks.happened(event)  # type: ignore[arg-type]

    def hear(self, text: str) -> None:
        events, answer = say(self.core, text, self.clock.now)
        self.written += answer.replace('"', "'")
        self.act(events)

    def send(self, stanzas: int, octets: int = 10) -> None:
        self.core.send_run(PAIR, STANZA * stanzas, stanzas)
        self.acks.sent(stanzas, octets)
        self.send_due()

    def said(self) -> str:
        """What was written since the last time, without the stanzas."""
        said, self.written = self.written.replace(STANZA.decode(), ""), ""
        return said


@pytest.fixture
def managed() -> Managed:
    settings = policy(MONTAGUE, stream_management=True, ack_timeout_s=30.0)
    return Managed(authenticated(settings, bidi=True))


@pytest.mark.clause("SMX-04")
def test_a_lone_stanza_is_asked_about_after_a_second(managed: Managed) -> None:
    managed.send(1)
    managed.clock.wait(0.9)
    assert managed.said() == ""
    managed.clock.wait(0.2)
    assert managed.said() == R
    managed.clock.wait(5)
    assert managed.said() == ""  # it is asked already
    managed.hear(f"<a {SM} h='1'/>")
    managed.clock.wait(5)
    assert managed.said() == ""
    assert managed.clock.due is None


def test_many_stanzas_and_large_ones_are_asked_about_at_once(managed: Managed) -> None:
    managed.send(63)
    assert managed.said() == ""
    managed.send(1)
    assert managed.said() == R
    managed.hear(f"<a {SM} h='64'/>")
    managed.send(1, octets=131_072)
    assert managed.said() == R


def test_one_question_at_a_time_and_the_next_with_the_answer(managed: Managed) -> None:
    managed.send(64)
    managed.send(64)
    managed.send(64)
    assert managed.said() == R
    managed.hear(f"<a {SM} h='64'/>")
    assert managed.said() == R
    managed.hear(f"<a {SM} h='192'/>")
    assert managed.said() == ""


def test_a_question_without_an_answer_does_not_hinder_the_one_of_each_second(
    managed: Managed,
) -> None:
    managed.send(1)
    managed.clock.wait(1)
    managed.send(1)
    managed.clock.wait(1)
    assert managed.said() == R + R


def test_who_has_everything_and_says_nothing_is_gone(managed: Managed) -> None:
    managed.send(1)
    managed.clock.wait(30)
    assert managed.closed is None
    managed.clock.wait(2)
    assert managed.closed is not None
    assert managed.closed.condition == "connection-timeout"


def test_who_has_not_got_the_question_yet_is_waited_for(managed: Managed) -> None:
    managed.send(1)
    managed.undelivered = 1
    managed.clock.wait(300)
    assert managed.closed is None
    managed.undelivered = 0
    managed.clock.wait(29)
    assert managed.closed is None
    managed.clock.wait(3)
    assert managed.closed is not None


@pytest.mark.clause("SMX-04", "SMX-05")
def test_the_peer_hears_of_what_it_asked_for_once_it_is_done(managed: Managed) -> None:
    message = "<message from='a@capulet.example' to='b@montague.example'/>"
    say(managed.core, message + message)
    ticket = managed.acks.arrived(2)
    assert ticket is not None
    managed.hear(R)
    assert managed.said() == f"<a {SM} h='0'/>"
    ticket.resolved(1)
    managed.acks.tell()
    assert managed.said() == ""
    ticket.resolved(1)
    managed.acks.tell()
    assert managed.said() == f"<a {SM} h='2'/>"


@pytest.mark.clause("SMX-05")
def test_what_a_slow_stream_has_taken_counts_after_ten_seconds(managed: Managed) -> None:
    @dataclass
    class Lane:
        took: int = 1

    say(managed.core, "<message from='a@capulet.example' to='b@montague.example'/>")
    managed.acks.arrived(1, Lane(), 1)
    managed.hear(R)
    managed.clock.wait(9)
    assert managed.said() == f"<a {SM} h='0'/>"
    managed.clock.wait(2)
    assert managed.said() == f"<a {SM} h='1'/>"
    assert managed.clock.due is None


async def test_nothing_is_left_when_the_connection_is_gone() -> None:
    core = authenticated(policy(MONTAGUE, stream_management=True), bidi=True)
    managed = Managed(core)
    loop = asyncio.get_running_loop()
    acks = Acknowledgement(loop, core, managed)
    acks.sent(1, 10)
    acks.close()
    managed.send(1)
    managed.acks.close()
    assert managed.clock.due is None
