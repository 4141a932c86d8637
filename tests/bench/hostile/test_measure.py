"""The bench under a flood: its counting is right, and a short run finds a node that holds."""

import dataclasses
import io

import pytest
from rich.console import Console

from bench.hostile import flood, measure, tables
from bench.remote import STANZA_BYTES, chat
from bench.steady import Arrivals, numbered, quantile_ms

pytestmark = pytest.mark.thorough

CHAT = chat("capulet.lit", "montague.lit")


def stanzas(*numbers: int) -> bytes:
    return b"".join(numbered(CHAT, number) for number in numbers)


def test_a_number_changes_no_length() -> None:
    assert len(numbered(CHAT, 9_999_999)) == len(CHAT) == STANZA_BYTES
    assert numbered(CHAT, 1) != numbered(CHAT, 2)


@pytest.mark.parametrize("size", [1, 7, 383, 5000])
def test_arrivals_are_counted_however_they_are_cut(size: int) -> None:
    octets, arrivals = stanzas(0, 1, 2, 3), Arrivals()
    for at in range(0, len(octets), size):
        arrivals.take(octets[at : at + size])
    assert arrivals.seen == {0, 1, 2, 3}
    assert (arrivals.duplicated, arrivals.reordered, arrivals.forged) == (0, 0, 0)


def test_what_went_wrong_is_counted() -> None:
    arrivals = Arrivals()
    assert arrivals.take(stanzas(0, 2, 1, 2)) == [0, 2, 1, 2]
    arrivals.take(b"<message from='x' to='y'><body>z</body></message>")
    assert (arrivals.duplicated, arrivals.reordered, arrivals.forged) == (1, 1, 1)
    assert arrivals.seen == {0, 1, 2}


def test_quantiles() -> None:
    latencies_s = [number / 1000 for number in range(1, 101)]
    assert quantile_ms(latencies_s, 0.5) == pytest.approx(51)
    assert quantile_ms(latencies_s, 0.99) == pytest.approx(100)
    assert quantile_ms([], 0.99) == 0


@pytest.mark.processes
async def test_a_short_flood_harms_nobody() -> None:
    said: list[str] = []
    found = await measure.measure(
        seconds=3,
        stanzas_per_s=400,
        connections_per_minute=1320,
        acceptors=1,
        workers=1,
        say=said.append,
    )
    assert found.sent >= 3 * 400
    assert (found.lost, found.duplicated, found.reordered, found.forged) == (0, 0, 0, 0)
    assert 0 < found.flooded.p50_ms <= found.flooded.p99_ms <= found.flooded.worst_ms
    assert found.made == 66
    assert set(found.connections) == {attack.__name__ for attack in flood.ATTACKS}
    assert found.connections["unauthenticated"] == {"not-authorized": 6}
    assert found.connections["oversize"] == {"policy-violation": 6}
    assert found.connections["half_open"] == {"left by us": 6}
    assert 0 < found.rss_before_mib <= found.rss_peak_mib
    assert set(found.cpu_share) >= {"supervisor", "a0.1", "w0.1", "generator of the flood"}
    assert len(said) == measure.PARTS
    assert found.course
    assert [moment.at_s for moment in found.course] == sorted(m.at_s for m in found.course)
    assert all(0 < moment.p50_ms <= moment.p99_ms for moment in found.course)
    assert all(0 < moment.rss_mib <= found.rss_peak_mib for moment in found.course)
    assert measure.as_row(found)["made"] == 66
    shown = io.StringIO()
    tables.show(found, Console(file=shown, width=120))
    assert "66 hostile connections" in shown.getvalue()
    assert "dialback flood" in shown.getvalue()


LATENCY = measure.Latency(1, 2, 3, 4)
GOOD = measure.Result(
    seconds=60,
    stanzas_per_s=2000,
    connections_per_minute=2000,
    sent=10,
    lost=0,
    duplicated=0,
    reordered=0,
    forged=0,
    calm=LATENCY,
    flooded=LATENCY,
    rss_before_mib=1,
    rss_peak_mib=1,
    rss_after_mib=1,
    connections={"garbage": {"bad-format": 2, "left by us": 1}},
    cpu_share={},
)


@pytest.mark.parametrize(
    "change",
    [
        {"lost": 1},
        {"duplicated": 1},
        {"reordered": 1},
        {"forged": 1},
        {"flooded": measure.Latency(1, measure.MAX_P99_MS, 300, 400)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_harm_is_a_failure(change: dict[str, object]) -> None:
    assert GOOD.is_good
    assert GOOD.made == 3
    assert not dataclasses.replace(GOOD, **change).is_good
