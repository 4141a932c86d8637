"""The judge of an exchange, and the exchange itself between correspondents joined in memory."""

import asyncio
from collections.abc import Callable

import pytest
from slixmpp import Iq
from slixmpp.exceptions import IqError, IqTimeout

from bench.traffic import Record, Route, exchange

ROMEO_TO_JULIET = Route("romeo@montague.lit", "juliet@capulet.lit")
ROMEO_TO_NURSE = Route("romeo@montague.lit", "nurse@capulet.lit")


def sent(*routes: Route) -> Record:
    record = Record(messages_planned=len(routes), pings_planned=0)
    for route in routes:
        record.send(route)
    return record


def test_everything_once_and_in_order_is_flawless() -> None:
    record = sent(ROMEO_TO_JULIET, ROMEO_TO_NURSE, ROMEO_TO_JULIET)
    assert record.arrive(ROMEO_TO_JULIET, 0)
    assert record.arrive(ROMEO_TO_JULIET, 1)
    assert record.arrive(ROMEO_TO_NURSE, 0)  # other routes may overtake
    assert record.findings().flawless
    assert record.findings().messages == 3


def test_what_did_not_come_is_lost() -> None:
    record = sent(ROMEO_TO_JULIET, ROMEO_TO_JULIET)
    record.arrive(ROMEO_TO_JULIET, 1)
    found = record.findings()
    assert (found.lost, found.missing, found.flawless) == (1, 1, False)
    assert found.reordered == 0


def test_what_came_twice_is_duplicated_and_makes_up_for_nothing() -> None:
    record = sent(ROMEO_TO_JULIET, ROMEO_TO_JULIET)
    assert record.arrive(ROMEO_TO_JULIET, 0)
    assert not record.arrive(ROMEO_TO_JULIET, 0)
    found = record.findings()
    assert (found.duplicated, found.lost, found.reordered) == (1, 1, 0)


def test_what_came_late_is_reordered() -> None:
    record = sent(*[ROMEO_TO_JULIET] * 4)
    for number in (0, 3, 1, 2):
        record.arrive(ROMEO_TO_JULIET, number)
    found = record.findings()
    assert (found.reordered, found.missing, found.flawless) == (2, 0, False)


@pytest.mark.parametrize("number", [-1, 1])
def test_what_nobody_sent_is_unexpected(number: int) -> None:
    record = sent(ROMEO_TO_JULIET)
    record.arrive(ROMEO_TO_JULIET, 0)
    assert not record.arrive(ROMEO_TO_JULIET, number)
    found = record.findings()
    assert (found.unexpected, found.missing, found.flawless) == (1, 0, False)


def test_a_message_on_another_route_is_unexpected_there_and_lost_here() -> None:
    record = sent(ROMEO_TO_JULIET)
    record.arrive(ROMEO_TO_NURSE, 0)
    found = record.findings()
    assert (found.unexpected, found.lost) == (1, 1)


def test_what_was_never_sent_and_never_answered_is_missing() -> None:
    found = Record(messages_planned=2, pings_planned=2, pings_sent=1).findings()
    assert (found.unsent, found.unanswered, found.missing) == (3, 1, 4)


def test_errors_are_counted_and_the_first_are_kept() -> None:
    record = Record(0, 0)
    for number in range(100):
        record.refuse(f"error {number}")
    found = record.findings()
    assert (found.refused, found.flawless) == (100, False)
    assert found.errors[0] == "error 0"
    assert len(found.errors) < 100


class InMemory:
    """Stands in for a `Correspondent`: what it sends is at the other one's in the next turn."""

    def __init__(self, domain: str, fate: Callable[[int], int] = lambda number: 1) -> None:
        self.domain = domain
        self.other: InMemory
        self.on_message: Callable[[Route, int], None]
        self.on_error: Callable[[str], None]
        self.answers = True
        self.under_way = self.most_under_way = 0
        self._copies = fate

    def send_numbered(self, route: Route, number: int) -> None:
        self._count(1)
        for _ in range(self._copies(number)):
            asyncio.get_running_loop().call_soon(self._deliver, route, number)

    async def ping(self, route: Route, timeout_s: float) -> None:
        await asyncio.sleep(0)
        if not self.answers:
            answer = Iq()
            answer["type"] = "error"
            answer["error"]["condition"] = "remote-server-timeout"
            raise IqError(answer)

    def _deliver(self, route: Route, number: int) -> None:
        self._count(-1)
        self.other.on_message(route, number)

    def _count(self, change: int) -> None:
        self.under_way += change
        self.most_under_way = max(self.most_under_way, self.under_way)


def pair(fate: Callable[[int], int] = lambda number: 1) -> tuple[InMemory, InMemory]:
    """Two joined; `fate` says how often the first one's n-th message of a route is delivered."""
    one, other = InMemory("montague.lit", fate), InMemory("capulet.lit")
    one.other, other.other = other, one
    return one, other


async def test_an_exchange_sends_all_of_both_ways_within_its_window() -> None:
    one, other = pair()
    heard: list[int] = []
    done = await exchange(
        one, other, messages=50, pings=20, users=3, in_flight=8, progress=heard.append
    )
    assert done.findings.flawless
    assert (done.findings.messages, done.findings.pings) == (100, 40)
    assert done.stanzas == 100 + 2 * 40
    assert max(one.most_under_way, other.most_under_way) <= 8
    assert heard == sorted(heard)
    assert heard[-1] == 140


async def test_an_exchange_with_a_loss_ends_and_says_so() -> None:
    one, other = pair(lambda number: 0 if number == 3 else 1)
    done = await exchange(one, other, messages=5, pings=0, users=1, patience_s=0.05)
    assert done.findings.lost == 1
    assert done.findings.errors == ("nothing came for 0.05 s",)


async def test_losses_that_fill_the_window_leave_the_rest_unsent() -> None:
    one, other = pair(lambda number: 0)
    done = await exchange(one, other, messages=9, pings=0, in_flight=2, patience_s=0.05)
    assert (done.findings.lost, done.findings.unsent) == (2, 7)


async def test_an_exchange_sees_duplicates() -> None:
    one, other = pair(lambda number: 2 if number == 4 else 1)
    done = await exchange(one, other, messages=5, pings=0, users=1)
    assert (done.findings.duplicated, done.findings.missing) == (1, 0)


async def test_a_refused_ping_is_unanswered_and_its_reason_kept() -> None:
    one, other = pair()
    one.answers = False
    done = await exchange(one, other, messages=0, pings=2)
    assert (done.findings.unanswered, done.findings.refused) == (2, 2)
    assert "remote-server-timeout" in done.findings.errors[0]
    assert done.stanzas == 2 * 2


async def test_a_ping_without_an_answer_is_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair()

    async def never(route: Route, timeout_s: float) -> None:
        raise IqTimeout(Iq())

    monkeypatch.setattr(one, "ping", never)
    done = await exchange(one, other, messages=0, pings=1)
    assert (done.findings.unanswered, done.findings.refused) == (1, 0)


async def test_a_refused_message_is_lost_and_not_waited_for() -> None:
    one, other = pair(lambda number: 0)
    one.send_numbered = lambda route, number: one.on_error("message: item-not-found")  # type: ignore[method-assign]
    done = await exchange(one, other, messages=3, pings=0, patience_s=60)
    assert (done.findings.lost, done.findings.refused) == (3, 3)


async def test_an_exchange_that_is_cancelled_leaves_nothing_running() -> None:
    one, other = pair(lambda number: 0)
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await exchange(one, other, messages=99, pings=99)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_fault_of_the_driver_itself_is_raised_and_not_waited_for() -> None:
    one, other = pair()
    one.send_numbered = lambda route, number: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup) as raised:
        await exchange(one, other, messages=3, pings=0, patience_s=60)
    assert raised.group_contains(ZeroDivisionError)
