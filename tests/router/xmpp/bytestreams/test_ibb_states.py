"""The states of an in-band bytestream: every cell moves or refuses, and the end is final."""

import itertools

import pytest

from router.xmpp.bytestreams.ibb_states import TABLE, Input, State, step


@pytest.mark.parametrize(("state", "happened"), list(itertools.product(State, Input)))
def test_every_cell_moves_or_refuses(state: State, happened: Input) -> None:
    assert step(state, happened) is TABLE.get((state, happened))


def test_nothing_leads_out_of_closed_and_everything_ends_there() -> None:
    assert [cell for cell in TABLE if cell[0] is State.CLOSED] == []
    alive = [state for state in State if state is not State.CLOSED]
    assert {step(state, Input.END) for state in alive} == {State.CLOSED}


def test_every_state_is_reached_from_one_of_the_first() -> None:
    first = {State.EXPECTING, State.OPENING, State.OPEN}
    assert first | set(TABLE.values()) == set(State)
