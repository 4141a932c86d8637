"""The account of a soak: one outcome for each stanza, in order."""

from bench.soak.ledger import Ledger


def test_each_stanza_has_one_outcome() -> None:
    ledger = Ledger()
    for _ in range(4):
        ledger.send(0)
    ledger.delivered(0, 0)
    ledger.bounced(0, 1)
    found = ledger.findings()
    assert (found.sent, found.delivered, found.bounced, found.lost) == (4, 1, 1, 2)
    assert not found.is_good(0)
    ledger.delivered(0, 2)
    ledger.delivered(0, 3)
    assert ledger.findings().is_good(0)
    assert ledger.under_way == 0


def test_a_second_outcome_is_wrong_whichever_it_is() -> None:
    ledger = Ledger()
    ledger.send(0)
    ledger.delivered(0, 0)
    ledger.bounced(0, 0)
    ledger.delivered(0, 0)
    assert ledger.findings().doubled == 2
    assert not ledger.findings().is_good(0)


def test_order_is_kept_within_a_flow_and_a_bounce_leaves_no_gap() -> None:
    ledger = Ledger()
    for flow in (0, 0, 0, 1):
        ledger.send(flow)
    ledger.delivered(0, 0)
    ledger.delivered(1, 0)
    ledger.bounced(0, 1)
    ledger.delivered(0, 2)
    assert ledger.findings().reordered == 0
    for _ in range(2):
        ledger.send(1)
    ledger.delivered(1, 2)
    ledger.delivered(1, 1)
    assert ledger.findings().reordered == 1
    assert not ledger.findings().is_good(0)


def test_what_nobody_sent_is_strange() -> None:
    ledger = Ledger()
    ledger.send(0)
    ledger.delivered(0, 1)
    ledger.delivered(7, 0)
    assert ledger.findings().strange == 2


def test_a_lost_answer_is_no_loss_where_the_node_counted_it() -> None:
    ledger = Ledger()
    ledger.sent(~0, 5)
    found = ledger.findings()
    assert (found.lost, found.lost_answers) == (1, 1)
    assert not found.is_good(0)
    assert found.is_good(1)
