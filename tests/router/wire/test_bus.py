"""The bus over real ipc: order, bursts, unknown and lost peers, size bound, waking up."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from router.wire import bus
from router.wire.bus import DealerSocket, RouterSocket
from router.xmpp.errors import MisuseError
from tests.support.eventually import eventually


class Inbox:
    """Collects messages and lets a test wait for so many of them."""

    def __init__(self) -> None:
        self.messages: list = []
        self._news = asyncio.Event()

    def routed(self, peer: str, parts: list[bytes]) -> None:
        self.dealt((peer, parts))

    def dealt(self, message) -> None:
        self.messages.append(message)
        self._news.set()

    async def wait_for(self, count: int) -> list:
        async with asyncio.timeout(10):
            while len(self.messages) < count:
                self._news.clear()
                await self._news.wait()
        return self.messages


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq.Context(io_threads=1) as context:
        yield context
        context.destroy(linger=0)


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    tmp_path.chmod(0o700)
    return f"ipc://{tmp_path}/a0.1.bus"


@pytest.fixture
async def joined(context, endpoint):
    """A ROUTER and a DEALER "w0.1" that has said hello to it."""
    loop = asyncio.get_running_loop()
    to_router, to_dealer = Inbox(), Inbox()
    router = RouterSocket(loop, context, endpoint, to_router.routed)
    dealer = DealerSocket(loop, context, endpoint, "w0.1", to_dealer.dealt)
    dealer.send([b"hello"])
    assert await to_router.wait_for(1) == [("w0.1", [b"hello"])]
    to_router.messages.clear()
    yield router, to_router, dealer, to_dealer
    dealer.close()
    router.close()


async def test_messages_go_both_ways_in_order(joined):
    router, to_router, dealer, to_dealer = joined
    for number in range(1000):
        assert dealer.send([b"up", str(number).encode()])
        assert router.send("w0.1", [b"down", str(number).encode()])
    up, down = await to_router.wait_for(1000), await to_dealer.wait_for(1000)
    assert up == [("w0.1", [b"up", str(number).encode()]) for number in range(1000)]
    assert down == [[b"down", str(number).encode()] for number in range(1000)]


async def test_answers_sent_while_draining_lose_no_wake_up(context, endpoint):
    """Each side answers from within its callback, 500 messages under way at once."""
    loop = asyncio.get_running_loop()
    rounds = 40
    finished = loop.create_future()
    seen = 0

    def answer(peer: str, parts: list[bytes]) -> None:
        router.send(peer, parts)

    def ask_again(parts: list[bytes]) -> None:
        nonlocal seen
        seen += 1
        left = int(parts[0])
        if left:
            dealer.send([str(left - 1).encode()])
        elif seen == 500 * (rounds + 1):
            finished.set_result(None)

    router = RouterSocket(loop, context, endpoint, answer)
    dealer = DealerSocket(loop, context, endpoint, "w0.1", ask_again)
    for _ in range(500):
        dealer.send([str(rounds).encode()])
    await asyncio.wait_for(finished, 20)
    dealer.close()
    router.close()


async def test_a_peer_nobody_has_heard_of_is_unreachable(joined):
    router, *_ = joined
    assert not router.send("w9.9", [b"x"])
    assert router.send("w0.1", [b"x"])


async def test_a_peer_that_left_becomes_unreachable(joined):
    router, _, dealer, _ = joined
    dealer.close()
    await eventually(lambda: not router.send("w0.1", [b"x"]))


async def test_an_id_in_use_is_not_taken_over(joined, context, endpoint):
    router, to_router, _, to_dealer = joined
    impostor = Inbox()
    second = DealerSocket(asyncio.get_running_loop(), context, endpoint, "w0.1", impostor.dealt)
    third = DealerSocket(asyncio.get_running_loop(), context, endpoint, "w0.2", impostor.dealt)
    second.send([b"mine now"])
    third.send([b"hello"])
    assert await to_router.wait_for(1) == [("w0.2", [b"hello"])]
    router.send("w0.1", [b"for the first"])
    assert await to_dealer.wait_for(1) == [[b"for the first"]]
    assert impostor.messages == []
    second.close()
    third.close()


async def test_a_peer_that_sends_too_much_is_cut_off(context, endpoint):
    loop = asyncio.get_running_loop()
    inbox = Inbox()
    router = RouterSocket(loop, context, endpoint, inbox.routed, max_message_bytes=1000)
    dealer = DealerSocket(loop, context, endpoint, "w0.1", Inbox().dealt)
    dealer.send([b"x" * 1000])
    dealer.send([b"x" * 1001])
    dealer.send([b"after"])
    messages = await inbox.wait_for(1)
    assert messages[0] == ("w0.1", [b"x" * 1000])
    assert ("w0.1", [b"x" * 1001]) not in messages
    dealer.close()
    router.close()


async def test_what_zeromq_does_not_take_waits_in_order(context, endpoint, monkeypatch):
    monkeypatch.setattr(bus, "_HIGH_WATER_MESSAGES", 10)
    loop = asyncio.get_running_loop()
    dealer = DealerSocket(loop, context, endpoint, "w0.1", Inbox().dealt)
    assert all(dealer.send([str(number).encode()]) for number in range(500))
    inbox = Inbox()
    router = RouterSocket(loop, context, endpoint, inbox.routed)
    messages = await inbox.wait_for(500)
    assert [int(parts[0]) for _, parts in messages] == list(range(500))
    dealer.close()
    router.close()


async def test_a_routers_queue_for_a_slow_peer_is_flushed_too(context, endpoint, monkeypatch):
    monkeypatch.setattr(bus, "_HIGH_WATER_MESSAGES", 10)
    loop = asyncio.get_running_loop()
    to_router, to_dealer = Inbox(), Inbox()
    router = RouterSocket(loop, context, endpoint, to_router.routed)
    dealer = DealerSocket(loop, context, endpoint, "w0.1", to_dealer.dealt)
    dealer.send([b"hello"])
    await to_router.wait_for(1)
    assert all(router.send("w0.1", [str(n).encode(), b"x" * 1000]) for n in range(500))
    messages = await to_dealer.wait_for(500)
    assert [int(parts[0]) for parts in messages] == list(range(500))
    dealer.close()
    router.close()


async def test_the_queue_for_a_peer_that_reads_nothing_is_bounded(context, endpoint, monkeypatch):
    monkeypatch.setattr(bus, "_HIGH_WATER_MESSAGES", 2)
    monkeypatch.setattr(bus, "MAX_WAITING_BYTES", 10_000)
    dealer = DealerSocket(asyncio.get_running_loop(), context, endpoint, "w0.1", Inbox().dealt)
    taken = [dealer.send([b"x" * 1000]) for _ in range(50)]
    assert taken[0]
    assert not taken[-1]
    assert sum(taken) < 20
    dealer.close()


async def test_a_callback_that_fails_does_not_stop_the_socket(context, endpoint):
    loop = asyncio.get_running_loop()
    failures, inbox = [], Inbox()
    loop.set_exception_handler(lambda _, event: failures.append(event["exception"]))

    def received(peer: str, parts: list[bytes]) -> None:
        if parts == [b"bad"]:
            raise ValueError("bad")
        inbox.routed(peer, parts)

    router = RouterSocket(loop, context, endpoint, received)
    dealer = DealerSocket(loop, context, endpoint, "w0.1", Inbox().dealt)
    for message in (b"bad", b"good"):
        dealer.send([message])
    assert await inbox.wait_for(1) == [("w0.1", [b"good"])]
    assert [str(failure) for failure in failures] == ["bad"]
    dealer.close()
    router.close()


async def test_nothing_arrives_and_nothing_leaves_after_close(joined):
    router, to_router, dealer, _ = joined
    for _ in range(3):
        dealer.send([b"x"])
    router.close()
    router.close()
    assert not router.send("w0.1", [b"x"])
    await asyncio.sleep(0)
    assert to_router.messages == []


async def test_a_directory_open_to_others_is_refused(context, tmp_path):
    tmp_path.chmod(0o750)
    with pytest.raises(MisuseError, match="0700"):
        RouterSocket(asyncio.get_running_loop(), context, f"ipc://{tmp_path}/x.bus", Inbox().routed)
