"""Rates: kept on average, with a burst, and never by losing anything."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from router.acceptor.throttle import Bucket, Throttle, throttle
from router.config import Config, Limits, Peer
from router.xmpp.events import RunReceived
from tests.support.acceptors import Hub, over_tcp, wired
from tests.support.acceptors import connection_of as plain_connection
from tests.support.eventually import eventually
from tests.support.pump import CAPULET, MONTAGUE, authenticated

TO_US = f"<message from='a@{CAPULET}' to='b@{MONTAGUE}'/>"


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = Bucket(10, 20, 0.0)
    assert bucket.take(20, 0.0) == 0
    assert bucket.take(5, 0.0) == 0.5
    assert bucket.take(0, 0.5) == 0
    assert bucket.take(20, 100.0) == 0
    assert bucket.take(20, 100.0) == 2.0


@given(st.lists(st.integers(1, 65_536), min_size=1, max_size=50), st.integers(1000, 1_000_000))
def test_who_waits_as_told_keeps_the_rate(reads: list[int], rate: int) -> None:
    bucket, now = Bucket(rate, rate * 2, 0.0), 0.0
    for octets in reads:
        now += bucket.take(octets, now)
    assert sum(reads) <= rate * 2 + rate * now + 1e-3


def test_the_slower_of_the_two_rates_holds() -> None:
    both = Throttle(1000, 10, 5, 0.0)
    assert both.took(100, 5, 0.0) == 0
    assert both.took(100, 35, 0.0) == 1.0
    assert both.took(6000, 35, 1.0) == 4.0
    assert Throttle(0, 10, 0, 0.0).took(1 << 30, 20, 0.0) == 0


def test_a_peer_s_own_rates_replace_those_of_all() -> None:
    config = Config(
        limits=Limits(stream_bytes_per_s=1000),
        peers={CAPULET: Peer(bytes_per_s=0), "slow.example": Peer(stanzas_per_s=1)},
    )
    assert throttle(Config(), CAPULET, 0, 0.0) is None
    assert throttle(config, CAPULET, 0, 0.0) is None
    other = throttle(config, "other.example", 0, 0.0)
    slow = throttle(config, "slow.example", 0, 0.0)
    assert other is not None
    assert slow is not None
    assert (other.took(3000, 3, 0.0), slow.took(0, 3, 0.0)) == (1.0, 1.0)


class Counting(Hub):
    """Counts stanzas as the acceptor does."""

    def happened(self, connection: object, event: object) -> None:
        super().happened(connection, event)  # type: ignore[arg-type]
        if isinstance(event, RunReceived):
            connection.stanzas_in += event.counts.total  # type: ignore[attr-defined]


async def test_a_stream_over_its_rate_is_read_later_and_loses_nothing() -> None:
    hub = Counting()
    connection = plain_connection(authenticated(), hub)
    loop = asyncio.get_running_loop()
    connection.throttle = Throttle(0, 100, 0, loop.time())
    async with over_tcp(connection) as peer:
        begun = loop.time()
        for _ in range(24):
            await loop.sock_sendall(peer, (TO_US * 10).encode())
        await hub.until(lambda: connection.stanzas_in == 240)
        connection.throttle.took(0, 240, loop.time())
        await loop.sock_sendall(peer, (TO_US * 10).encode())
        await hub.until(lambda: connection.stanzas_in == 250)
        assert loop.time() - begun > 0.3, "200 at once, 40 more are 0.4 s"


async def test_a_stream_that_we_close_is_read_to_the_end_at_once() -> None:
    hub = Counting()
    connection, transport = wired(authenticated(), hub)
    connection.throttle = Throttle(1, 0, 0, asyncio.get_running_loop().time())
    transport.feed(TO_US)
    assert transport.is_paused
    connection.close()
    assert not transport.is_paused
    transport.feed(TO_US + "</stream:stream>")
    assert connection.stanzas_in == 2
    assert connection.end is not None
    assert connection.end.condition is None


async def test_both_reasons_to_pause_must_be_gone() -> None:
    connection, transport = wired(authenticated(), Counting())
    connection.throttle = Throttle(2000, 0, 0, asyncio.get_running_loop().time() - 100)
    transport.feed(TO_US * 70)
    assert transport.is_paused
    connection.pause_reading()
    connection.resume_reading()
    assert transport.is_paused
    connection.throttle = None
    await eventually(lambda: not transport.is_paused)
    connection.pause_reading()
    assert transport.is_paused


def test_one_is_taken_only_if_it_is_there() -> None:
    bucket = Bucket(2, 2, 0.0)
    assert [bucket.take_if_there(0.0) for _ in range(4)] == [True, True, False, False]
    assert [bucket.take_if_there(0.5) for _ in range(2)] == [True, False]
