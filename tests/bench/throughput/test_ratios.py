"""Ratios are of one round, medians over rounds; what the generator limited is no rate."""

from typing import Any

import pytest

from bench.throughput import ratios
from bench.throughput.ratios import Spread, cpu, rate, ratio, spread, targets

IN = ("in", 383, 1)


def row(subject: str, number: int, cpu_us: float, **more: Any) -> dict[str, Any]:
    return {
        "subject": subject,
        "mode": "in",
        "direction": "in",
        "pairs": 1,
        "size_bytes": 383,
        "acceptors": 1,
        "round": number,
        "stanzas": 1000,
        "cpu_us": cpu_us,
        "per_second": 100_000.0,
        "generator_core_share": 0.2,
        "cpu_us_by_process": {"a0.1": cpu_us},
        **more,
    }


def test_a_ratio_is_of_the_same_round_whatever_order_the_rows_have() -> None:
    rows = [row("causeway", 1, 2.0), row("prosody", 2, 90.0)]
    rows += [row("causeway", 2, 3.0), row("prosody", 1, 80.0)]
    found = ratio(rows, ("prosody", IN), ("causeway", IN), cpu)
    assert found == Spread((40.0, 30.0))
    assert (found.median, found.low, found.high) == (35.0, 30.0, 40.0)


def test_a_round_that_only_one_of_them_was_in_gives_none() -> None:
    rows = [row("causeway", 1, 2.0), row("prosody", 2, 90.0)]
    assert ratio(rows, ("prosody", IN), ("causeway", IN), cpu) is None


def test_a_cpu_time_too_short_to_see_is_no_divisor() -> None:
    rows = [row("causeway", 1, 0.0), row("prosody", 1, 90.0)]
    assert ratio(rows, ("prosody", IN), ("causeway", IN), cpu) is None


@pytest.mark.parametrize(("share", "shown"), [(0.89, 100_000.0), (0.9, None), (1.0, None)])
def test_a_rate_that_the_generator_may_have_set_is_withheld(
    share: float, shown: float | None
) -> None:
    of_one = row("causeway", 1, 2.0, generator_core_share=share)
    assert rate(of_one) == shown
    assert cpu(of_one) == 2.0


def test_a_rate_withheld_in_one_round_is_withheld() -> None:
    rows = [row("causeway", 1, 2.0, generator_core_share=0.95), row("causeway", 2, 2.0)]
    assert spread(rows, "causeway", IN, rate) is None
    assert spread(rows[1:], "causeway", IN, rate) == Spread((100_000.0,))
    assert spread(rows, "causeway", IN, cpu) == Spread((2.0, 2.0))
    assert spread(rows[:1], "causeway", IN, rate) is None


def held(*rows: dict[str, Any]) -> dict[tuple[str, str], bool]:
    return {
        (each.words, each.where): each.is_held
        for each in targets({"settings": {}, "results": list(rows)})
    }


def test_targets_are_held_from_their_bound_on() -> None:
    ours = row("causeway", 1, 4.0, per_second=108_000.0)
    eight = "ejabberd's CPU per stanza is at least 8 x causeway's", "in"
    thrice = "on one stream causeway carries at least 3 x ejabberd's stanzas/s", "in"
    ejabberd = row("ejabberd", 1, 32.0, per_second=36_000.0)
    assert held(ours, ejabberd) == {eight: True, thrice: True}
    ejabberd = row("ejabberd", 1, 31.9, per_second=36_001.0)
    assert held(ours, ejabberd) == {eight: False, thrice: False}


def test_a_relay_bounds_from_above() -> None:
    words = "causeway's CPU per stanza is at most 8 x that of haproxy's TLS relay", "in"
    assert held(row("causeway", 1, 4.0), row("haproxy", 1, 0.5)) == {words: True}
    assert held(row("causeway", 1, 4.1), row("haproxy", 1, 0.5)) == {words: False}


def test_the_reader_in_pure_python_has_bounds_of_its_own() -> None:
    words = "prosody's CPU per stanza is at least 8 x causeway-pure's", "in"
    assert held(row("causeway-pure", 1, 10.0), row("prosody", 1, 80.0)) == {words: True}


def test_many_pairs_and_a_second_acceptor_are_held_against_one() -> None:
    many = row("causeway", 1, 5.3, mode="in-1000", pairs=1000)
    second = row("causeway", 1, 4.6, acceptors=2)
    found = held(row("causeway", 1, 4.0), many, second)
    assert list(found.values()) == [False, True]
    assert [where for _, where in found] == ["in-1000", "in"]


def test_a_server_behind_is_held_against_a_component() -> None:
    words = "causeway's CPU per stanza is at most 1.3 x that to a component", "gateway"
    behind = row("causeway", 1, 5.2, mode="gateway", direction="gateway")
    assert held(row("causeway", 1, 4.0), behind) == {words: True}
    assert held(row("causeway", 1, 3.9), behind) == {words: False}
    assert held(behind) == {}


def test_without_others_there_is_nothing_to_hold() -> None:
    assert held(row("causeway", 1, 4.0)) == {}


def test_ours_come_first_and_sweeps_are_not_among_the_base() -> None:
    rows = [row("ejabberd", 1, 30.0), row("causeway-pure", 1, 9.0), row("causeway", 1, 4.0)]
    rows += [row("causeway", 1, 4.0, size_bytes=100), row("causeway", 1, 4.0, acceptors=2)]
    assert ratios.subjects(rows) == ["causeway", "causeway-pure", "ejabberd"]
    assert ratios.base(rows) == [IN]
