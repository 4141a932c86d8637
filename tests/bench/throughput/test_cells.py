"""Which combinations a run measures: the first of each list, and each further one by itself."""

import pytest

from bench.throughput.cells import Cell, cells


def test_each_further_value_is_tried_with_the_first_of_the_others() -> None:
    assert cells(["in"], [383, 100], [1, 1000], [1, 2]) == [
        Cell("in", 1, 383, 1),
        Cell("in", 1, 100, 1),
        Cell("in", 1000, 383, 1),
        Cell("in", 1, 383, 2),
    ]


def test_a_mode_with_its_number_of_pairs_keeps_it_and_takes_part_in_the_sweep_of_acceptors() -> (
    None
):
    found = cells(["in-8"], [383, 100], [1, 1000], [1, 2])
    assert found == [Cell("in", 8, 383, 1), Cell("in", 8, 383, 2)]


def test_what_two_modes_ask_for_is_measured_once() -> None:
    found = cells(["in", "in-8"], [383], [1, 8], [1])
    assert [each.mode for each in found] == ["in", "in-8"]


def test_a_server_behind_is_a_mode_of_its_own() -> None:
    (cell,) = cells(["gateway"], [383], [1], [1])
    assert (cell.mode, cell.is_inward) == ("gateway", True)
    assert [each.is_inward for each in cells(["in", "out", "echo"], [383], [1], [1])] == [
        *(True, False, False)
    ]


@pytest.mark.parametrize("mode", ["inward", "in-0", "in-", "relay", ""])
def test_what_is_no_mode_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="is no mode"):
        cells([mode], [383], [1], [1])
