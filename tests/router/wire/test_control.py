"""Answers stay below the bound on messages."""

import pytest

from router.wire.control import (
    FACTS_PER_MESSAGE,
    MAX_MESSAGE_BYTES,
    ROWS_PER_ANSWER,
    answers,
    peer_facts,
)
from router.wire.control_codec import encode


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (0, [0]),
        (1, [1]),
        (ROWS_PER_ANSWER, [ROWS_PER_ANSWER]),
        (2 * ROWS_PER_ANSWER + 1, [ROWS_PER_ANSWER, ROWS_PER_ANSWER, 1]),
    ],
)
def test_only_the_last_part_says_no_more(rows: int, sizes: list[int]) -> None:
    parts = list(answers(7, [{"number": n} for n in range(rows)]))
    assert [len(part.rows) for part in parts] == sizes
    assert [part.more for part in parts] == [True] * (len(sizes) - 1) + [False]
    assert {part.request for part in parts} == {7}


def test_a_full_part_with_long_names_fits() -> None:
    row: dict[str, object] = {f"key_{n}": "x" * 255 for n in range(12)}
    (part,) = answers(1, [row] * ROWS_PER_ANSWER)
    assert len(encode(part)) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("facts", "sizes"), [(0, []), (3, [3]), (FACTS_PER_MESSAGE + 1, [FACTS_PER_MESSAGE, 1])]
)
def test_facts_go_in_messages_of_bounded_size(facts: int, sizes: list[int]) -> None:
    learned = [("x" * 1023, "reverse_dialback", "survives", float(n)) for n in range(facts)]
    messages = list(peer_facts(learned))
    assert [len(message.facts) for message in messages] == sizes
    assert [fact for message in messages for fact in message.facts] == learned
    assert all(len(encode(message)) <= MAX_MESSAGE_BYTES for message in messages)
