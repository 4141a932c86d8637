"""The order of the rounds, runs that are no measurement, and a small run of each way."""

from typing import Any

import pytest

from bench.express import measure
from bench.express.measure import Found, Settings, Step, plan
from bench.express.ways import LIMITS, WAYS, Road
from bench.peers.daemon import DaemonError
from bench.remote import MARK, Component

BRIEF = 0.3


class Said:
    """Who is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps = 0

    def now(self, words: str) -> None:
        """Nobody looks."""

    def done(self) -> None:
        self.steps += 1

    def say(self, words: str) -> None:
        self.lines.append(words)


# --- order ---


def test_every_way_has_its_turn_in_each_round_and_none_is_always_the_first() -> None:
    steps = plan(Settings(WAYS, LIMITS, rounds=6, seconds=1))
    for number in range(6):
        turns = steps[6 * number : 6 * number + 6]
        assert {step.round for step in turns} == {number + 1}
        assert len({(step.limits, step.way) for step in turns}) == 6
    assert len({(step.limits, step.way) for step in steps[::6]}) == 6


# --- no measurement ---


async def test_a_way_that_fails_is_told_of_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def one(step: Step, settings: Settings) -> Any:
        raise DaemonError("it is gone") if step.way == "ordinary" else ConnectionError("no lane")

    monkeypatch.setattr(measure, "_one", one)
    said = Said()
    found = await measure.measure(Settings(WAYS, ("none",), rounds=1, seconds=1), said)
    assert found.samples == ()
    assert [(each.way, each.reason) for each in found.left_out] == [
        ("ordinary", "it is gone"),
        ("in-band", "no lane"),
        ("socks5", "no lane"),
    ]
    assert said.steps == len(said.lines) == 3


class Answering:
    """A layer whose peer lets so many of what is written arrive, and returns so many as errors."""

    def __init__(self, found: Road, arriving: int, returning: int = 0) -> None:
        self._found, self._arriving, self._returning = found, arriving, returning

    def write(self, octets: bytes) -> None:
        self._found.target.count(MARK * self._arriving)
        self._found.sender.count(MARK * self._returning)


def between(arriving: int, returning: int = 0) -> Road:
    """A road without servers."""
    found = Road(Component("montague.lit", ""), Component("capulet.lit", ""), {}, {})
    found.sender._layer = Answering(found, arriving, returning)  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("arriving", [2, 4])
async def test_a_run_with_too_few_or_too_many_is_none(
    arriving: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "LIMIT_S", 0.01)
    with pytest.raises(ConnectionError, match=f"{arriving} of 3"):
        await measure._run(between(arriving), MARK, 3)


async def test_an_error_that_comes_back_ends_the_run_at_once() -> None:
    step = Step(1, "none", "ordinary")
    with pytest.raises(ConnectionError, match="an error came back, after 0 of 1"):
        await measure._measured(between(0, 1), step, Settings(WAYS, LIMITS, 1, BRIEF))


class Leaking(Road):
    """Of what arrives, this comes by the lane."""

    async def carried(self) -> int:
        return self.target.arrived // 2


async def test_what_did_not_travel_inside_is_no_figure_of_a_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(found: Road, stanza: bytes, messages: int) -> None:
        found.target.tally.expect(messages)
        found.target.tally.add(messages)

    async def warm_up(found: Road, stanza: bytes, settings: Settings) -> float:
        return 100.0

    monkeypatch.setattr(measure, "_run", run)
    monkeypatch.setattr(measure, "_warm_up", warm_up)
    monkeypatch.setattr(measure, "REST_S", 0.0)
    ends = Component("montague.lit", ""), Component("capulet.lit", "")
    leaking = Leaking(*ends, {}, {"capulet.lit": None})  # type: ignore[dict-item]
    leaking_pids: dict[str, int] = {}
    monkeypatch.setattr(Road, "processes", lambda self: leaking_pids)
    with pytest.raises(ConnectionError, match="5 of 10 messages went through the lane"):
        await measure._measured(leaking, Step(1, "none", "socks5"), Settings(WAYS, LIMITS, 1, 0.1))


# --- real servers ---


@pytest.mark.interop
@pytest.mark.parametrize("way", WAYS)
async def test_each_way_carries_its_messages(way: Any) -> None:
    said = Said()
    found = await measure.measure(Settings((way,), ("none",), rounds=1, seconds=BRIEF), said)
    assert found.left_out == ()
    (sample,) = found.samples
    assert (sample.way, sample.limits, sample.round) == (way, "none", 1)
    assert sample.messages > 1
    assert sample.cpu_us > 0
    owners = {name.split()[0] for name in sample.cpu_us_by_process}
    assert owners == ({"prosody"} if way == "ordinary" else {"prosody", "router"})
    assert len(said.lines) == said.steps == 1


@pytest.mark.interop
async def test_the_limits_of_a_prosody_hold_its_components_back() -> None:
    """30 kB/s are fewer than 79 of these messages; TLS and the addresses of streams take some."""
    found: Found = await measure.measure(
        Settings(("ordinary",), ("default",), rounds=1, seconds=4), Said()
    )
    (sample,) = found.samples
    assert 40 < sample.per_second < 80
