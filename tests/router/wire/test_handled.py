"""How many stanzas of a stream have an outcome: in order of arrival, over all its lanes."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.handled import Handled


@dataclass
class Lane:
    took: int = 0


@pytest.mark.clause("SMX-05")
def test_a_run_counts_when_all_of_it_and_all_before_it_has_an_outcome() -> None:
    handled = Handled()
    first, second = handled.arrived(2, 0.0), handled.arrived(3, 0.0)
    second.resolved(3)
    assert handled.total == 0
    first.resolved(1)
    assert handled.total == 0
    first.resolved(1)
    assert handled.total == 5
    assert not handled.is_waiting()


@pytest.mark.clause("SMX-05")
def test_what_is_old_counts_once_a_stream_has_taken_it() -> None:
    handled, taken, waiting = Handled(), Lane(took=4), Lane(took=4)
    handled.arrived(2, 0.0, taken, 3)
    handled.arrived(1, 1.0, taken, 4)
    handled.arrived(1, 1.0, waiting, 5)
    handled.aged(9.9)
    assert handled.total == 0
    handled.aged(10.5)
    assert handled.total == 2
    handled.aged(60.0)
    assert handled.total == 3  # the fourth waits where only one process has it
    waiting.took = 5
    handled.aged(60.0)
    assert handled.total == 4


def test_what_counts_by_age_may_still_get_its_outcome() -> None:
    handled, lane = Handled(), Lane(took=2)
    old, new = handled.arrived(2, 0.0, lane, 2), handled.arrived(1, 11.0, lane, 3)
    handled.aged(12.0)
    old.resolved(2)
    assert handled.total == 2
    new.resolved(1)
    assert handled.total == 3


@pytest.mark.clause("SMX-05")
@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_never_more_than_the_resolved_beginning(sizes: list[int], chance: object) -> None:
    handled = Handled()
    tickets = [handled.arrived(size, 0.0) for size in sizes]
    outcomes = [index for index, size in enumerate(sizes) for _ in range(size)]
    chance.shuffle(outcomes)  # type: ignore[attr-defined]
    left = list(sizes)
    for index in outcomes:
        tickets[index].resolved(1)
        left[index] -= 1
        begun = next((at for at, open_ in enumerate(left) if open_), len(sizes))
        assert handled.total == sum(sizes[:begun])
    assert not handled.is_waiting()
