"""Every stage runs on what it is fed, and its figure is per stanza."""

from collections.abc import Callable

import pytest

from bench import core
from bench.remote import CHUNK_BYTES, STANZA_BYTES


@pytest.fixture(scope="module")
def stages() -> list[core.Stage]:
    return core.measure(rounds=1, stanzas=200)


def test_all_stages_are_measured_in_the_order_a_stanza_meets_them(
    stages: list[core.Stage],
) -> None:
    assert [stage.name for stage in stages] == [
        "reader",
        "reader, one by one",
        "stream core",
        "lanes",
        "frame codec",
        "frame codec, one by one",
    ]
    assert {stage.stanzas_per_call for stage in stages} == {1, CHUNK_BYTES // STANZA_BYTES}
    assert all(0 < stage.cpu_us < 10_000 for stage in stages)


def test_the_figure_is_the_least_disturbed_round_by_stanza(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clock on which the second of three rounds costs least: 2 ms for 400 stanzas, 5 µs each."""
    rounds = iter([0.004, 0.002, 0.003] * 6)

    def cpu_s(work: Callable[[], None], calls: int) -> float:
        work()
        return next(rounds)

    monkeypatch.setattr(core, "_cpu_s", cpu_s)
    stages = core.measure(rounds=3, stanzas=400)
    assert [stage.cpu_us for stage in stages if stage.stanzas_per_call == 1] == [5.0, 5.0]
    per_chunk = CHUNK_BYTES // STANZA_BYTES
    assert stages[0].cpu_us == pytest.approx(2000 / (400 // per_chunk * per_chunk))
