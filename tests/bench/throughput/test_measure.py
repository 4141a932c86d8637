"""The order of the rounds, the size of a share, and small real runs, each of which moves it all."""

from contextlib import AbstractAsyncContextManager

import pytest

from bench import subjects
from bench.remote import MARK, Load, Tally
from bench.throughput import measure
from bench.throughput.cells import Cell, cells
from bench.throughput.ends import Ends
from bench.throughput.flow import Source
from bench.throughput.measure import Sample, Settings, as_rows, plan, rotated, share

IN, IN_8 = Cell("in", 1, 383), Cell("in", 8, 383)


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


def settings(*names: str, modes: str = "in", rounds: int = 1, stanzas: int = 0) -> Settings:
    found = cells(modes.split(","), [383], [1], [1])
    return Settings(names, tuple(found), rounds, seconds=0.2, stanzas=stanzas)


# --- order ---


def test_nobody_is_always_the_first() -> None:
    assert rotated(["a", "b", "c"], 0) == ["a", "b", "c"]
    assert rotated(["a", "b", "c"], 5) == ["c", "a", "b"]
    steps = plan(settings("a", "b", "c", modes="in", rounds=3))
    assert sorted(step.subject for step in steps[::3]) == ["a", "b", "c"]


def test_every_server_does_every_cell_of_a_round_before_the_next_round() -> None:
    steps = plan(settings("a", "b", modes="in,out", rounds=2))
    assert [step.round for step in steps] == [1] * 4 + [2] * 4
    assert {(step.cell.mode, step.subject) for step in steps[:4]} == {
        (mode, name) for mode in ("in", "out") for name in "ab"
    }


def test_only_ours_takes_part_in_the_sweep_of_acceptors() -> None:
    wanted = Settings(
        ("causeway", "ejabberd"), (IN_8, Cell("in", 8, 383, acceptors=2)), 1, seconds=1
    )
    of_two = [step.subject for step in plan(wanted) if step.cell.acceptors == 2]
    assert of_two == ["causeway"]


def test_only_ours_has_servers_behind_it() -> None:
    wanted = Settings(("causeway", "ejabberd"), (Cell("gateway", 1, 383),), 1, seconds=1)
    assert [step.subject for step in plan(wanted)] == ["causeway"]


# --- shares ---


def test_with_several_pairs_each_sends_whole_bursts() -> None:
    by_time = settings("causeway")
    assert share(1000, IN, by_time) == 1000
    assert share(1000, IN_8, by_time) == 171
    assert share(5000, IN_8, by_time) == 684


def test_a_number_that_was_asked_for_is_kept() -> None:
    assert share(1, IN_8, settings("causeway", stanzas=1000)) == 125


# --- the clock ---


def test_a_row_has_the_rate_too() -> None:
    sample = Sample("causeway", "in", "in", 1, 383, 1, 171, 1, 1000, 0.5, 4.0, {"a0.1": 4.0}, 0.3)
    (row,) = as_rows([sample])
    assert row["per_second"] == 2000
    assert row["cpu_us_by_process"] == {"a0.1": 4.0}


async def test_a_first_stanza_that_a_server_lost_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "FIRST_PATIENCE_S", (0.0, 10.0))
    end = Load()
    end._layer = Forgetful(end)  # type: ignore[assignment]
    await measure._first_of_each([Source(end, MARK)], end.tally)
    assert end.arrived == 1


class Forgetful:
    """A layer whose peer loses the first stanza."""

    def __init__(self, end: Load) -> None:
        self._end = end
        self._writes = 0

    def write(self, octets: bytes) -> None:
        self._writes += 1
        if self._writes > 1:
            self._end.count(octets)


async def test_an_error_that_comes_back_ends_the_run_at_once() -> None:
    inner, outer = Tally(), Tally()
    end = Load()
    end._layer = Returning(outer)  # type: ignore[assignment]
    ends = Ends([Source(end, MARK)], [], outer, inner)
    step = measure.Step(1, IN, "one")
    with pytest.raises(ConnectionError, match="0 first stanzas"):
        await measure._measured(Idle(), ends, step, settings("one", stanzas=10))


class Returning:
    """A layer whose peer bounces everything."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def write(self, octets: bytes) -> None:
        self._tally.add(octets.count(MARK))


class Idle:
    """A server that is none."""

    def processes(self) -> dict[str, int]:
        return {}

    def around(self, cell: Cell) -> AbstractAsyncContextManager[Ends]:
        raise NotImplementedError


class Cut:
    """A layer that loses the connection when it is written to."""

    def __init__(self, end: Load, arrived: int) -> None:
        self._end = end
        self._arrived = arrived

    def write(self, octets: bytes) -> None:
        self._end.count(MARK * self._arrived)
        self._end.connection_lost(None)


@pytest.mark.parametrize("arrived", [1, 4])
async def test_a_run_with_too_few_or_too_many_is_an_error(arrived: int) -> None:
    end = Load()
    end._layer = Cut(end, arrived)  # type: ignore[assignment]
    with pytest.raises(ConnectionError, match=f"{arrived} of 3"):
        await measure._run([Source(end, MARK)], 3, 1000, end.tally)


# --- real servers ---


def of(samples: list[Sample]) -> list[tuple[str, str, int]]:
    return [(sample.subject, sample.mode, sample.stanzas) for sample in samples]


@pytest.mark.processes
async def test_a_node_carries_each_mode() -> None:
    said = Said()
    wanted = settings("causeway-pure", modes="in,out,echo,in-8,gateway", stanzas=4001)
    samples = await measure.measure(wanted, said)
    moved = {"in": 4001, "out": 4001, "echo": 8002, "in-8": 4000, "gateway": 4001}
    assert of(samples) == [("causeway-pure", mode, count) for mode, count in moved.items()]
    assert (said.steps, len(said.lines)) == (5, 5)
    for sample in samples:
        assert set(sample.cpu_us_by_process) >= {"supervisor", "a0.1", "w0.1"}
        assert sample.cpu_us == pytest.approx(sum(sample.cpu_us_by_process.values()))
        assert sample.cpu_us > 0
        assert 0 < sample.generator_core_share < 2


@pytest.mark.interop
@pytest.mark.parametrize("name", ["prosody", "ejabberd", "haproxy", "haproxy-terminate"])
async def test_another_server_carries_each_mode(name: str) -> None:
    assert subjects.installed(name.removesuffix("-terminate")) == ""
    wanted = settings(name, modes="in,out,echo,out-3", stanzas=2001)
    samples = await measure.measure(wanted, Said())
    moved = {"in": 2001, "out": 2001, "echo": 4002, "out-3": 2001}
    assert of(samples) == [(name, mode, count) for mode, count in moved.items()]
    assert all(sample.cpu_us > 0 or name.startswith("haproxy") for sample in samples)
