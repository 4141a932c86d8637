"""Every part runs on what it is fed, and its figure is per stanza."""

from collections.abc import Callable

import pytest

from bench.core import alone
from bench.core.readers import readers
from bench.remote import CHUNK_BYTES, STANZA_BYTES
from router.xmpp.reader import pure

PER_CHUNK = CHUNK_BYTES // STANZA_BYTES


def test_every_reader_there_is_takes_part() -> None:
    parts = alone.measure(readers(), rounds=2, stanzas=200)
    names = [part.name for part in parts]
    assert names[:2] == ["reader, pure", "reader, pure, one by one"]
    assert names[-4:] == ["stream core", "lanes", "frame codec", "frame codec, one by one"]
    assert len(parts) == 2 * len(readers()) + 4
    assert {part.stanzas_per_call for part in parts} == {1, PER_CHUNK}
    assert all(len(part.samples_us) == 2 for part in parts)
    assert all(0 < part.best_us <= part.median_us < 10_000 for part in parts)


def test_the_samples_are_microseconds_per_stanza(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which the second of three rounds costs least: 2 ms for 400 stanzas, 5 µs each."""
    rounds = {0: 0.004, 1: 0.002, 2: 0.003}
    said: list[str] = []

    def cpu_s(work: Callable[[], None], calls: int) -> float:
        work()
        return rounds[len(said) - 1]

    monkeypatch.setattr(alone, "_cpu_s", cpu_s)
    parts = alone.measure({"pure": pure.Reader}, rounds=3, stanzas=400, say=said.append)
    lone = [part for part in parts if part.stanzas_per_call == 1]
    assert [part.samples_us for part in lone] == [pytest.approx((10.0, 5.0, 7.5))] * 2
    assert [(part.best_us, part.median_us) for part in lone] == [(5.0, 7.5)] * 2
    assert parts[0].best_us == pytest.approx(2000 / (400 // PER_CHUNK * PER_CHUNK))
