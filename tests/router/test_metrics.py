"""Declarations, counters, and the sum over processes that live and that are dead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.metrics import METRICS, Counters, Ledger, Metric
from router.xmpp.errors import MisuseError

TCP = "causeway_tcp_connections_total"
REUSE = "causeway_bidi_reuse_total"
IN_FLIGHT = "causeway_stanzas_in_flight"

CONTRACT = {
    "causeway_s2s_streams": ("direction", "auth", "bidi"),
    "causeway_s2s_authenticated_total": ("direction", "mechanism"),
    "causeway_s2s_closed_total": ("direction", "condition"),
    "causeway_tls_handshakes_total": ("role", "version", "result"),
    "causeway_tcp_connections_total": ("direction",),
    "causeway_bidi_reuse_total": (),
    "causeway_stanzas_total": ("kind", "leg", "direction"),
    "causeway_bytes_total": ("leg", "direction"),
    "causeway_stanza_outcomes_total": ("outcome",),
    "causeway_stanzas_in_flight": (),
    "causeway_queue_bytes": (),
    "causeway_shard_owner_changes_total": (),
    "causeway_process_restarts_total": ("role",),
}


def test_names_and_labels_of_the_contract() -> None:
    declared = {m.name: m.label_names for m in METRICS.values() if m.type != "info"}
    assert {name: declared.get(name) for name in CONTRACT} == CONTRACT


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_types_and_names_agree_and_labels_are_closed(metric: Metric) -> None:
    assert (metric.type == "counter") == metric.name.endswith("_total")
    assert (metric.type == "info") == metric.name.endswith("_info")
    assert metric.help.endswith(".")
    assert metric.type == "info" or all(values for _, values in metric.labels)


def test_adding_and_setting() -> None:
    counters = Counters()
    counters.add(TCP, "in")
    counters.add(TCP, "in", by=2)
    counters.add(IN_FLIGHT, by=5)
    counters.add(IN_FLIGHT, by=-2)
    counters.set("causeway_queue_bytes", value=7)
    counters.set("causeway_queue_bytes", value=4)
    assert sorted(counters.snapshot()) == [
        ("causeway_queue_bytes", (), 4),
        (IN_FLIGHT, (), 3),
        (TCP, ("in",), 3),
    ]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("causeway_nonsense_total", ()),
        (TCP, ()),
        (TCP, ("sideways",)),
        (TCP, ("in", "out")),
        ("causeway_s2s_closed_total", ("in", "evil.example")),
    ],
)
def test_what_is_not_declared_is_misuse(name: str, labels: tuple[str, ...]) -> None:
    with pytest.raises(MisuseError):
        Counters().add(name, *labels)
    with pytest.raises(MisuseError):
        Counters().set(name, *labels, value=1)


def test_a_counter_cannot_be_set() -> None:
    with pytest.raises(MisuseError):
        Counters().set(REUSE, value=1)


def test_everything_with_closed_labels_is_there_from_the_start() -> None:
    totals = Ledger().totals()
    assert totals.keys() == METRICS.keys()
    assert totals[REUSE] == {(): 0}
    assert totals[TCP] == {("in",): 0, ("out",): 0}
    assert len(totals["causeway_stanzas_total"]) == 3 * 4 * 2
    assert ("in", "policy-violation") in totals["causeway_s2s_closed_total"]


def test_processes_are_added_up_and_each_beat_replaces_the_last() -> None:
    ledger = Ledger()
    ledger.beat("a0.1", [(TCP, ("in",), 1), (IN_FLIGHT, (), 2)])
    ledger.beat("a0.1", [(TCP, ("in",), 5), (IN_FLIGHT, (), 1)])
    ledger.beat("a1.1", [(TCP, ("in",), 7), (IN_FLIGHT, (), 3)])
    totals = ledger.totals()
    assert totals[TCP][("in",)] == 12
    assert totals[IN_FLIGHT][()] == 4


def test_the_dead_leave_their_counters_and_take_their_gauges() -> None:
    ledger = Ledger()
    ledger.beat("a0.1", [(TCP, ("in",), 5), (IN_FLIGHT, (), 2)])
    ledger.gone("a0.1")
    ledger.gone("a0.1")
    ledger.beat("a0.2", [(TCP, ("in",), 1)])
    totals = ledger.totals()
    assert totals[TCP][("in",)] == 6
    assert totals[IN_FLIGHT][()] == 0


def test_rows_nobody_declared_are_left_out() -> None:
    ledger = Ledger()
    ledger.beat("a0.1", [("causeway_nonsense_total", (), 1), (TCP, ("sideways",), 1)])
    assert ledger.totals() == Ledger().totals()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["beat", "gone"]))))
def test_counters_never_go_backwards(steps: list[tuple[str, str]]) -> None:
    ledger, counted = Ledger(), dict.fromkeys("ab", 0)
    last = 0.0
    for process, step in steps:
        if step == "beat":
            counted[process] += 1
            ledger.beat(process, [(REUSE, (), counted[process])])
        else:
            ledger.gone(process)
            counted[process] = 0
        now = ledger.totals()[REUSE][()]
        assert now == last + (step == "beat")
        last = now
