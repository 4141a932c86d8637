"""The arithmetic of `bench idle`, on rows made by hand."""

import pytest

from bench.idle import tables
from bench.report.model import Document

MIB = 1024 * 1024


def row(
    subject: str = "causeway", auth: str = "external", *, cpu_s: float = 10.0, kib: float = 60
) -> tables.Row:
    """5,000 streams, of which 1,000 one after another took a quarter of the CPU."""
    phases = [(1000, 1, cpu_s / 4), (0, 8, 0.0), (4000, 8, cpu_s * 3 / 4)]
    held = [
        {"streams": n, "rss_bytes": n * (kib + 1) * 1024, "pss_bytes": n * kib * 1024}
        for n in (1000, 5000)
    ]
    return {
        "subject": subject,
        "auth": auth,
        "set_up": [
            {"streams": n, "at_once": at_once, "cpu_s": cpu, "generator_cpu_s": cpu / 2}
            for n, at_once, cpu in phases
        ],
        "held": held,
        "idle_cpu_s": 0.2,
        "idle_wall_s": 10.0,
        "closing_cpu_s": 1.0,
        "held_after": {"streams": 0, "rss_bytes": 3 * MIB, "pss_bytes": 2 * MIB},
        "dialled": 2500,
    }


def document(*rows: tables.Row) -> Document:
    return {"results": list(rows)}


def test_each_figure() -> None:
    one = row()
    assert tables.per_cpu_s(one) == pytest.approx(500)
    assert tables.one_by_one_per_cpu_s(one) == pytest.approx(400)
    assert tables.at_once_per_cpu_s(one) == pytest.approx(4000 / 7.5)
    assert tables.generator_us(one) == pytest.approx(1000)
    assert tables.pss_kib(one) == pytest.approx(60)
    assert tables.rss_kib(one) == pytest.approx(61)
    assert tables.idle_percent(one) == pytest.approx(2)
    assert tables.closing_us(one) == pytest.approx(200)
    assert tables.kept_mib(one) == pytest.approx(2)
    assert tables.dialled(one) == pytest.approx(0.5)


def test_a_phase_too_short_for_the_kernel_s_clock_has_no_figure() -> None:
    assert tables.one_by_one_per_cpu_s(row(cpu_s=0.0)) != tables.one_by_one_per_cpu_s(row())
    assert str(tables.per_cpu_s(row(cpu_s=0.0))) == "nan"


def test_the_median_of_rounds_and_the_line() -> None:
    whole = document(row(kib=50), row(kib=90), row(kib=60))
    assert tables.typical(whole, ("causeway", "external"), tables.pss_kib) == pytest.approx(60)
    assert tables.line(whole, ("causeway", "external")) == [
        (0.0, 0.0),
        (1000.0, pytest.approx(60_000 / 1024)),
        (5000.0, pytest.approx(300_000 / 1024)),
    ]


def test_ratios_are_made_within_a_round() -> None:
    """What slows a whole round down, as another program on the machine, slows both."""
    whole = document(
        row(cpu_s=8), row("ejabberd", cpu_s=10), row(cpu_s=80), row("ejabberd", cpu_s=100)
    )
    assert tables.ratio_to_rival(whole, "external") == pytest.approx(1.25)


def test_the_targets() -> None:
    whole = document(row(kib=80), row("ejabberd", cpu_s=9), row("prosody"))
    memory, set_up = tables.targets(whole).rows
    assert (memory[1], memory[2]) == ("81 KiB at 5,000", "yes")
    assert (set_up[1], set_up[2]) == ("0.9 times as many", "no")
    assert tables.targets(document(row(kib=100))).rows[0][2] == "no"


def test_fewer_streams_say_nothing_of_the_target() -> None:
    few = row()
    few["held"] = few["held"][:1]
    assert tables.targets(document(few)).rows[0][2] == "too few streams"


def test_a_row_for_each_server_and_proof() -> None:
    whole = document(row(), row(auth="dialback"), row("prosody"), row())
    names = [each[:2] for each in tables.set_up(whole).rows]
    assert names == [("causeway", "external"), ("causeway", "dialback"), ("prosody", "external")]
    for table in (tables.set_up(whole), tables.holding(whole)):
        assert {len(each) for each in table.rows} == {len(table.columns)}
    assert [each[0][:8] for each in tables.targets(whole).rows] == ["at most "]
