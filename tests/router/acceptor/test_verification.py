"""Keys that somebody else verifies: asked once, asked again, answered once, never forgotten."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from router.acceptor.connection import Connection
from router.acceptor.verification import Verifications
from router.config import Limits
from router.wire.frames import Verified, Verify
from router.wire.shard import SHARDS, shard_of
from router.xmpp.events import KeyReceived, StreamClosed
from router.xmpp.pair import DomainPair
from router.xmpp.s2s import ServerStream
from tests.support.acceptors import Hub, Sent, Transport, wired
from tests.support.eventually import eventually
from tests.support.pump import CAPULET, MONTAGUE, PAIR, inbound, policy

ALL = frozenset(range(SHARDS))
KEY = f"<db:result from='{CAPULET}' to='{MONTAGUE}'>key</db:result>"
TYBALT_KEY = f"<db:result from='tybalt.example' to='{MONTAGUE}'>key</db:result>"
SHARD = shard_of(MONTAGUE, CAPULET)


class Asking(Hub):
    """A hub that hands keys to the verifications, as the acceptor does."""

    def __init__(self, timeout_s: float = 60.0) -> None:
        super().__init__()
        self.sent = Sent()
        self.judged: list[tuple[DomainPair, str]] = []
        self.pending = Verifications(
            asyncio.get_running_loop(),
            Limits(verification_timeout_s=timeout_s),
            self.sent.to_shard,
            lambda _, pair, verdict: self.judged.append((pair, verdict)),
            self._look,
        )
        self.at_hand: set[str] = set()
        self.looked_for: list[str] = []

    def happened(self, connection: Connection, event: object) -> None:
        super().happened(connection, event)  # type: ignore[arg-type]
        if isinstance(event, KeyReceived):
            self.pending.begin(connection, event)
        elif isinstance(event, StreamClosed):
            self.pending.stream_gone(connection)

    def _look(self, frame: Verify, otherwise: Callable[[], None]) -> None:
        self.looked_for.append(frame.pair.sender)
        if frame.pair.sender not in self.at_hand:
            otherwise()

    def asked(self) -> list[Verify]:
        return [frame for _, frame in self.sent.shards if isinstance(frame, Verify)]


def stream(hub: Asking, number: int = 1) -> tuple[Connection, Transport]:
    return wired(inbound(policy(MONTAGUE, handshake_timeout_s=1e9)), hub, number=number)


def core_of(connection: Connection) -> ServerStream:
    assert isinstance(connection.core, ServerStream)
    return connection.core


async def test_a_key_is_asked_of_the_shard_of_its_pair() -> None:
    hub = Asking()
    connection, transport = stream(hub)
    transport.feed(KEY)
    assert hub.sent.shards == [
        (SHARD, Verify(1, PAIR.inverse(), core_of(connection).stream_id, "key"))
    ]


async def test_the_verdict_reaches_the_peer_once() -> None:
    hub = Asking()
    connection, transport = stream(hub)
    transport.feed(KEY)
    hub.pending.verified(Verified(1, "valid"))
    hub.pending.verified(Verified(1, "invalid"))
    said = await transport.said()
    assert said.count("type='valid'") == 1
    assert "type='invalid'" not in said
    assert PAIR.inverse() in connection.core.grants.receive
    assert hub.judged == [(PAIR.inverse(), "valid")]
    assert list(hub.pending.announcements(ALL)) == []


@pytest.mark.clause("DBK-17")
async def test_any_trouble_is_told_to_the_peer_and_the_stream_stays() -> None:
    hub = Asking()
    connection, transport = stream(hub)
    transport.feed(KEY)
    hub.pending.verified(Verified(1, "remote-connection-failed"))
    assert "<remote-connection-failed " in await transport.said()
    assert connection.end is None


@pytest.mark.clause("DBK-17", "DBK-24")
async def test_no_verdict_in_time_is_an_answer_too() -> None:
    hub = Asking(timeout_s=0.01)
    _, transport = stream(hub)
    transport.feed(KEY)
    await eventually(lambda: "<remote-server-timeout " in transport.written.decode())
    hub.pending.verified(Verified(1, "valid"))
    assert "type='valid'" not in await transport.said()
    assert hub.judged == [(PAIR.inverse(), "remote-server-timeout")]
    assert list(hub.pending.announcements(ALL)) == []


async def test_a_new_owner_is_asked_again_with_the_same_number() -> None:
    hub = Asking()
    _, transport = stream(hub)
    transport.feed(KEY + TYBALT_KEY)
    first, second = hub.asked()
    assert list(hub.pending.announcements(ALL)) == [first, second]
    assert list(hub.pending.announcements(frozenset({SHARD}))) == [first]
    hub.pending.verified(Verified(first.request, "valid"))
    assert list(hub.pending.announcements(ALL)) == [second]


async def test_requests_of_different_streams_are_told_apart() -> None:
    hub = Asking()
    one, other = stream(hub, 1), stream(hub, 2)
    one[1].feed(KEY)
    other[1].feed(KEY)
    hub.pending.verified(Verified(hub.asked()[1].request, "valid"))
    assert "type='valid'" not in await one[1].said()
    assert "type='valid'" in await other[1].said()


async def test_a_stream_that_is_gone_asks_nothing_and_hears_nothing() -> None:
    hub = Asking(timeout_s=0.01)
    one, other = stream(hub, 1), stream(hub, 2)
    one[1].feed(KEY)
    other[1].feed(KEY)
    one[1].feed("</stream:stream>")
    assert [frame.request for frame in hub.pending.announcements(ALL)] == [2]
    said = await one[1].said()
    hub.pending.verified(Verified(1, "valid"))
    await eventually(lambda: not list(hub.pending.announcements(ALL)))
    assert await one[1].said() == said
    assert "type='error'" in await other[1].said()


def keys(*domains: str) -> str:
    return "".join(f"<db:result from='{d}' to='{MONTAGUE}'>key</db:result>" for d in domains)


@pytest.mark.clause("DBK-07")
async def test_a_stream_that_brings_many_new_domains_has_them_verified_four_a_second() -> None:
    hub = Asking()
    now = [1000.0]
    waits: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []
    hub.pending._loop = Clock(now, waits)  # type: ignore[assignment]
    connection, transport = stream(hub)
    domains = [f"d{number}.example" for number in range(16)]
    transport.feed(keys(*domains))
    asked = [frame.pair.sender for frame in hub.asked()]
    assert asked == domains[:4]
    assert [frame.request for frame in hub.pending.announcements(ALL)] == [1, 2, 3, 4]
    turns = [(s, then, arguments) for s, then, arguments in waits if s < 30]
    assert [s for s, _, _ in turns] == [n / 4 for n in range(1, 13)]
    for _, then, arguments in turns:
        then(*arguments)
    assert [frame.pair.sender for frame in hub.asked()] == domains
    hub.pending.verified(Verified(1, "remote-server-timeout"))
    transport.feed(keys(domains[0]))
    assert hub.asked()[-1].pair.sender == domains[0], "seen lately, it costs nothing"
    transport.feed(keys("d16.example"))
    assert "<resource-constraint " in await transport.said(), "16 are pending"
    _, elsewhere = stream(hub, 2)
    elsewhere.feed(keys("d17.example"))
    assert hub.asked()[-1].pair.sender == "d17.example", "each stream has its own"
    assert connection.end is None


async def test_a_stream_that_ends_while_its_keys_wait_has_them_forgotten() -> None:
    hub = Asking()
    waits: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []
    hub.pending._loop = Clock([1000.0], waits)  # type: ignore[assignment]
    connection, transport = stream(hub)
    transport.feed(keys(*(f"d{number}.example" for number in range(6))))
    connection.act(connection.core.fail("reset", ""))
    for _, then, arguments in waits:
        then(*arguments)
    assert len(hub.asked()) == 4


@pytest.mark.clause("DBK-07")
async def test_a_domain_in_two_pairs_does_not_get_ahead_of_its_turn() -> None:
    hub = Asking()
    now = [1000.0]
    waits: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []
    hub.pending._loop = Clock(now, waits)  # type: ignore[assignment]
    core = inbound(policy(MONTAGUE, "verona.example", handshake_timeout_s=1e9))
    _, transport = wired(core, hub, number=1)
    transport.feed(keys(*(f"d{number}.example" for number in range(6))))
    now[0] += 0.1
    transport.feed("<db:result from='d5.example' to='verona.example'>key</db:result>")
    assert len(hub.asked()) == 4
    assert waits[-1][0] == pytest.approx(0.4)
    now[0] += 0.5
    transport.feed("<db:result from='d4.example' to='verona.example'>key</db:result>")
    assert hub.asked()[-1].pair.sender == "d4.example", "its turn has been"


async def test_where_nobody_has_to_be_dialled_a_key_waits_for_nothing() -> None:
    hub = Asking()
    waits: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []
    hub.pending._loop = Clock([1000.0], waits)  # type: ignore[assignment]
    _, transport = stream(hub)
    transport.feed(KEY)
    assert hub.looked_for == [], "a stranger's keys are not even looked at"
    hub.pending.verified(Verified(1, "valid"))
    domains = [f"d{number}.example" for number in range(10)]
    hub.at_hand.update(domains)
    transport.feed(keys(*domains, "e0.example", "e1.example", "e2.example", "e3.example"))
    assert hub.looked_for[:10] == domains
    assert [frame.pair.sender for frame in hub.asked()] == [
        CAPULET,
        "e0.example",
        "e1.example",
        "e2.example",
    ]
    assert [s for s, _, _ in waits if s < 30] == [0.25]
    hub.pending.verified(Verified(2, "valid"))
    assert "from='montague.example' to='d0.example' type='valid'" in (
        await transport.said()
    ).replace('"', "'")


class Clock:
    """A loop whose time stands still; what it is to call later is in `waits`."""

    def __init__(self, now: list[float], waits: list[Any]) -> None:
        self._now = now
        self._waits = waits

    def time(self) -> float:
        return self._now[0]

    def call_later(self, delay_s: float, then: Any, *arguments: object) -> asyncio.TimerHandle:
        self._waits.append((delay_s, then, arguments))
        return asyncio.get_running_loop().call_later(1e6, lambda: None)
