"""Places that failed: the first few times cost nothing, then ever longer, up to a bound."""

from random import Random

import pytest

from router.acceptor.dialling.backoff import BEHIND_US_S, FREE, PLACES, Backoff, Backoffs
from router.config import Address, Config, Domain


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backoff(clock: Clock) -> Backoff[str]:
    return Backoff(clock, Random(7), longest_s=60.0)


def closed_s(backoff: Backoff[str], place: str = "x") -> float:
    closed = backoff.closed(place)
    return closed[1] if closed is not None else 0.0


def fail_freely(backoff: Backoff[str]) -> None:
    for _ in range(FREE):
        backoff.failed("x", "why")


@pytest.mark.clause("DNS-07")
def test_the_first_failures_close_nothing(backoff: Backoff[str]) -> None:
    assert backoff.closed("x") is None
    for _ in range(FREE):
        backoff.failed("x", "why")
        assert backoff.closed("x") is None
    backoff.failed("x", "why")
    assert backoff.closed("x") is not None


@pytest.mark.clause("DNS-07")
def test_each_further_failure_doubles_the_time_up_to_a_bound(backoff: Backoff[str]) -> None:
    fail_freely(backoff)
    for exponent in range(12):
        backoff.failed("x", "why")
        full_s = min(2.0**exponent, 60.0)
        assert full_s / 2 <= closed_s(backoff) <= full_s


@pytest.mark.clause("DNS-07")
def test_the_time_is_jittered(clock: Clock) -> None:
    times = set()
    for seed in range(20):
        backoff: Backoff[str] = Backoff(clock, Random(seed), longest_s=60.0)
        fail_freely(backoff)
        for _ in range(4):
            backoff.failed("x", "why")
        times.add(round(closed_s(backoff), 3))
    assert len(times) == 20


def test_a_place_opens_again_and_says_meanwhile_why_it_is_closed(
    backoff: Backoff[str], clock: Clock
) -> None:
    fail_freely(backoff)
    backoff.failed("x", "last")
    closed = backoff.closed("x")
    assert closed is not None
    assert closed[0] == "last"
    clock.now += closed[1]
    assert backoff.closed("x") is None


def test_success_forgets(backoff: Backoff[str]) -> None:
    fail_freely(backoff)
    backoff.succeeded("x")
    backoff.failed("x", "why")
    assert backoff.closed("x") is None


def test_places_are_apart(backoff: Backoff[str]) -> None:
    fail_freely(backoff)
    backoff.failed("x", "why")
    assert backoff.closed("x") is not None
    assert backoff.closed("y") is None


def test_only_so_many_places_are_remembered(backoff: Backoff[str]) -> None:
    fail_freely(backoff)
    backoff.failed("x", "why")
    for number in range(PLACES):
        backoff.failed(f"d{number}", "why")
    assert backoff.closed("x") is None


def test_a_server_behind_us_is_not_left_alone_for_long(clock: Clock) -> None:
    behind = Domain("server", target=Address("10.0.0.7", 5269))
    backoffs: Backoffs[str] = Backoffs(clock, Random(7), Config(domains={"verona.example": behind}))
    for domain in ("verona.example", "capulet.example"):
        for _ in range(20):
            backoffs.of(domain).failed("x", "why")
    assert 0 < closed_s(backoffs.of("verona.example")) <= BEHIND_US_S
    assert closed_s(backoffs.of("capulet.example")) > 10
    backoffs.reload(Config())
    assert closed_s(backoffs.of("verona.example")) > 10
