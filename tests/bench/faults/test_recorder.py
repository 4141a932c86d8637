"""The checker: each way in which a stanza can go wrong is told from the others."""

import math

import pytest

from bench.faults.recorder import Findings, Recorder
from bench.faults.traffic import Bounce, flows
from router.xmpp.pair import DomainPair

HERE, THERE = "montague.lit", "capulet.lit"
TWO_FLOWS = flows([DomainPair(THERE, HERE)], 2)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def after(count: int, flow: int = 0) -> tuple[Recorder, list[int]]:
    """A recorder with so many stanzas of a flow sent, one a second from 100 s on."""
    recorder = Recorder(TWO_FLOWS, Clock())
    numbers = [recorder.plan(flow, 100.0 + turn) for turn in range(count)]
    for number in numbers:
        recorder.sent(number)
    return recorder, numbers


def test_all_delivered_is_without_violations() -> None:
    recorder, numbers = after(3)
    recorder.delivered(numbers, HERE)
    found = recorder.findings()
    assert (found.sent, found.delivered, found.violations) == (3, 3, 0)
    assert recorder.answered == recorder.written == 3
    assert recorder.wrong() == []


@pytest.mark.parametrize(
    ("arrivals", "bounced", "field"),
    [
        ([0, 1], [], "lost"),
        ([0, 1, 2, 1], [], "duplicated"),
        ([0, 2, 1], [], "reordered"),
        ([0, 1, 2], [2], "both"),
        ([0, 1], [2, 2], "duplicated"),
        ([0, 1, 2, 9], [], "strange"),
    ],
)
def test_each_fault_is_counted_once_and_where_it_belongs(
    arrivals: list[int], bounced: list[int], field: str
) -> None:
    recorder, _ = after(3)
    recorder.delivered(arrivals, HERE)
    for number in bounced:
        recorder.bounced(Bounce(number, "why"), THERE)
    found = recorder.findings()
    assert getattr(found, field) == 1
    assert found.violations == 1


def test_what_arrives_elsewhere_or_was_not_sent_is_strange() -> None:
    recorder, numbers = after(1)
    unsent = recorder.plan(0, 101.0)
    recorder.delivered([*numbers, unsent], "verona.lit")
    recorder.bounced(Bounce(numbers[0], ""), HERE)
    found = recorder.findings()
    assert (found.strange, found.delivered, found.lost) == (3, 0, 1)


def test_order_is_that_of_one_jid_pair() -> None:
    recorder = Recorder(TWO_FLOWS, Clock())
    numbers = [recorder.plan(turn % 2, 100.0) for turn in range(4)]
    for number in numbers:
        recorder.sent(number)
    recorder.delivered([1, 3, 0, 2], HERE)
    assert recorder.findings().reordered == 0


def test_time_counts_from_the_schedule() -> None:
    recorder = Recorder(TWO_FLOWS, clock := Clock())
    number = recorder.plan(0, 99.75)
    recorder.sent(number)
    assert math.isnan(recorder.took_s[number])
    clock.now_s = 100.0
    recorder.delivered([number], HERE)
    assert recorder.findings().worst_ms == pytest.approx(250)
    assert recorder.findings(recorder.due_between(99.8, 101.0)) == Findings(
        *(0,) * 10, 0.0, 0.0, 0.0
    )


def test_what_a_cut_stream_took_along_is_told_from_other_losses() -> None:
    recorder, numbers = after(3)
    recorder.delivered(numbers[:1], HERE)
    recorder.cut_off(numbers[:2])
    found = recorder.findings()
    assert (found.lost, found.lost_with_stream) == (2, 1)


def test_duplicates_of_what_we_sent_twice_ourselves_are_known() -> None:
    recorder, numbers = after(2)
    recorder.delivered(numbers, HERE)
    recorder.resent(numbers[:1])
    recorder.sent(numbers[0])
    recorder.delivered(numbers, HERE)
    found = recorder.findings()
    assert (found.sent, found.duplicated, found.duplicated_resent) == (2, 2, 1)
    assert recorder.written == 2


def test_a_choice_of_stanzas_and_the_reasons_of_bounces() -> None:
    recorder, numbers = after(2)
    other = recorder.plan(1, 100.0)
    recorder.sent(other)
    for number in (*numbers, other):
        recorder.bounced(Bounce(number, f"reason {number % 2}"), THERE)
    first = recorder.findings(lambda number, flow: flow is TWO_FLOWS[0])
    assert (first.sent, first.reasons) == (2, {"reason 0": 1, "reason 1": 1})
    assert recorder.most_bounces_per_s() == 3
