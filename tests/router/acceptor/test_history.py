"""Notes on domain pairs: in order, bounded in every direction, harmless."""

import pytest

from router.acceptor import history as module
from router.acceptor.history import MAX_NOTES, MAX_TEXT, History

PAIR = ("montague.example", "capulet.example")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(clock: Clock) -> History:
    return History(clock)


def test_notes_come_back_in_order_with_their_time(history: History, clock: Clock) -> None:
    history.note(*PAIR, "dns", ok=True)
    clock.now += 1.5
    history.note(*PAIR, "closed", condition="reset", by_peer=True, left_s=None)
    assert history.rows(*PAIR) == [
        {"at": 100.0, "last_at": 100.0, "times": 1, "what": "dns", "ok": True},
        {
            "at": 101.5,
            "last_at": 101.5,
            "times": 1,
            "what": "closed",
            "condition": "reset",
            "by_peer": True,
            "left_s": None,
        },
    ]
    assert history.rows(*reversed(PAIR)) == []


def test_what_happens_again_and_again_is_one_note(history: History, clock: Clock) -> None:
    for _ in range(3):
        for what in ("dns", "connect", "dial_failed"):
            history.note(*PAIR, what, failed="no answer")
            clock.now += 1
    shown = [(row["at"], row["last_at"], row["times"]) for row in history.rows(*PAIR)]
    assert shown == [(100.0, 106.0, 3), (101.0, 107.0, 3), (102.0, 108.0, 3)]


def test_after_a_stream_the_same_is_news(history: History) -> None:
    for stream in (None, 1, 1, None):
        detail = {"stream": stream} if stream else {}
        history.note(*PAIR, "dial_failed", **detail)
    shown = [(row.get("stream"), row["times"]) for row in history.rows(*PAIR)]
    assert shown == [(None, 1), (1, 2), (None, 1)]


def test_of_what_differs_in_measure_alone_the_last_stands(history: History) -> None:
    for seconds in (3.5, 1.2):
        history.note(*PAIR, "backoff", seconds=seconds, text="refused")
    history.note(*PAIR, "backoff", seconds=None, text="refused")
    history.note(*PAIR, "backoff", text="refused")
    shown = [(row.get("seconds"), row["times"]) for row in history.rows(*PAIR)]
    assert shown == [(1.2, 2), (None, 1), (None, 1)]


def test_the_last_notes_of_a_pair_stay(history: History) -> None:
    for number in range(MAX_NOTES + 5):
        history.note(*PAIR, "connect", number=number)
    shown = [row["number"] for row in history.rows(*PAIR)]
    assert shown == list(range(5, MAX_NOTES + 5))


def test_the_pairs_noted_last_stay(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 2)
    for remote in ("a", "b", "a", "c"):
        history.note("m", remote, "connect")
    assert [bool(history.rows("m", remote)) for remote in ("a", "b", "c")] == [True, False, True]


def test_texts_are_cut_and_hold_no_key(history: History) -> None:
    history.note(*PAIR, "closed", text="x" * 1000)
    history.note(*PAIR, "refused", text="you sent " + "0f" * 32)
    long, secret = (str(row["text"]) for row in history.rows(*PAIR))
    assert len(long) == MAX_TEXT
    assert "0f0f" not in secret


def test_strangers_drive_out_strangers_alone(
    history: History, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 2)
    history.note(*PAIR, "connect")
    for number in range(MAX_NOTES + 1):
        clock.now += 1
        history.note_stranger(*PAIR, "tls", stream=number)
    clock.now += 1
    history.note(*PAIR, "dial_failed")
    whats = [row["what"] for row in history.rows(*PAIR)]
    assert whats == ["connect", *["tls"] * MAX_NOTES, "dial_failed"], "in the order of time"
    for remote in ("a", "b", "c"):
        history.note_stranger("m", remote, "closed")
    assert [row["what"] for row in history.rows(*PAIR)] == ["connect", "dial_failed"]
    assert [bool(history.rows("m", remote)) for remote in ("a", "b", "c")] == [False, True, True]


@pytest.mark.parametrize("pair", [("", "capulet.example"), ("montague.example", "")])
def test_without_both_domains_nothing_is_kept(history: History, pair: tuple[str, str]) -> None:
    history.note(*pair, "closed")
    assert history.rows(*pair) == []


def test_rows_are_copies(history: History) -> None:
    history.note(*PAIR, "connect")
    history.rows(*PAIR)[0].clear()
    assert history.rows(*PAIR)[0]["what"] == "connect"
