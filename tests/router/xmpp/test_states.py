"""Every cell of every table moves or refuses, and nothing else."""

import itertools

import pytest

from router.xmpp.states import (
    COMPONENT,
    E2E_INITIATOR,
    E2E_RECIPIENT,
    INITIATING,
    RECEIVING,
    Input,
    Phase,
    step,
)

TABLES = {
    "receiving": RECEIVING,
    "initiating": INITIATING,
    "component": COMPONENT,
    "recipient": E2E_RECIPIENT,
    "initiator": E2E_INITIATOR,
}
CELLS = list(itertools.product(TABLES, Phase, Input))


@pytest.mark.parametrize(("table", "phase", "happened"), CELLS)
def test_every_cell_moves_or_refuses(table, phase, happened):
    after = step(TABLES[table], phase, happened)
    assert after is None or isinstance(after, Phase)
    if phase is Phase.CLOSED:
        assert after is None, "the end is final"


@pytest.mark.parametrize("table", TABLES)
def test_every_phase_but_the_end_can_end(table):
    for phase in Phase:
        if phase is not Phase.CLOSED:
            assert step(TABLES[table], phase, Input.END) is Phase.CLOSED


@pytest.mark.clause("TLS-04")
@pytest.mark.parametrize("table", [RECEIVING, E2E_RECIPIENT, E2E_INITIATOR])
def test_starttls_happens_once_and_before_tls_only(table):
    allowed = [p for p in Phase if step(table, p, Input.STARTTLS) is not None]
    assert allowed == [Phase.PLAIN]


@pytest.mark.clause("SAS-06", "SAS-07")
def test_authentication_begins_inside_tls_only():
    for table in (RECEIVING, INITIATING):
        allowed = [p for p in Phase if step(table, p, Input.AUTH) is not None]
        assert allowed == [Phase.SECURE]


@pytest.mark.parametrize("table", [RECEIVING, INITIATING])
def test_open_is_reached_through_a_restart_only(table):
    into_open = {phase for (phase, what), after in table.items() if after is Phase.OPEN}
    assert into_open <= {Phase.RESTART_HEADER, Phase.RESTART_FEATURES}


@pytest.mark.clause("E2E-02")
@pytest.mark.parametrize("table", [E2E_RECIPIENT, E2E_INITIATOR])
def test_an_end_to_end_stream_has_no_sasl(table):
    assert not any(what in (Input.AUTH, Input.FAILURE) for _, what in table)
    into_open = {phase for (phase, what), after in table.items() if after is Phase.OPEN}
    assert into_open == {Phase.PLAIN, Phase.SECURE}
