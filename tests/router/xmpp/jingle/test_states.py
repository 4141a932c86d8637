"""Every cell of both tables moves or refuses, and only the standard's paths lead anywhere."""

import itertools

import pytest

from router.xmpp.jingle.states import INITIATOR, RESPONDER, Input, State, Table, step

TABLES = {"initiator": INITIATOR, "responder": RESPONDER}
CELLS = list(itertools.product(TABLES, State, Input))


@pytest.mark.parametrize(("table", "state", "happened"), CELLS)
def test_every_cell_moves_or_refuses(table: str, state: State, happened: Input) -> None:
    after = step(TABLES[table], state, happened)
    assert after is None or isinstance(after, State)
    if state is State.ENDED:
        assert after is None, "the end is final"
    elif happened is Input.END:
        assert after is State.ENDED


def into(table: Table, state: State) -> set[tuple[State, Input]]:
    return {cell for cell, after in table.items() if after is state}


@pytest.mark.clause("JXS-09")
def test_a_session_becomes_active_by_an_accept_alone() -> None:
    by_offer = {(State.OFFERING, Input.ACCEPTED), (State.REPLACING, Input.ANSWERED)}
    answered = {(State.REPLACED, Input.ANSWER)}
    assert into(INITIATOR, State.ACTIVE) == by_offer | answered
    assert into(RESPONDER, State.ACTIVE) == {(State.ASKED, Input.ACCEPT)} | answered


@pytest.mark.clause("S5B-06")
def test_only_the_initiator_replaces_the_transport() -> None:
    assert into(INITIATOR, State.REPLACING) == {(State.ACTIVE, Input.REPLACE)}
    assert into(RESPONDER, State.REPLACING) == set()


@pytest.mark.clause("JXS-01")
def test_nothing_is_offered_before_the_peer_is_known_to_support_it() -> None:
    assert into(INITIATOR, State.OFFERING) == {(State.DISCOVERING, Input.SUPPORTED)}
