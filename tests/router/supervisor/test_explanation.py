"""From rows of many processes to a sentence each way: what is so, since when, on whose side."""

from dataclasses import replace
from typing import Any

import pytest

from router.supervisor.explanation import Explanation, Rules, ago, explanation

M, C = "montague.example", "capulet.example"
NOW = 1_000_000.0


def stream(**changes: Any) -> dict[str, Any]:
    return {
        "part": "stream",
        "acceptor": "a0.1",
        "number": 3,
        "direction": "out",
        "state": "open",
        "address": "192.0.2.1:5269",
        "bidi": False,
        "sends": None,
        "receives": None,
        "certificate_valid": True,
        "age_s": 300.0,
        **changes,
    }


def pair(**changes: Any) -> dict[str, Any]:
    row = {"local": M, "remote": C, "stream": None, "streams": (), "dialling": ()}
    return {**row, "backlog_stanzas": 0, "backlog_bytes": 0, **changes}


def note(what: str, seconds_ago: float = 12.0, **detail: Any) -> dict[str, Any]:
    at = NOW - seconds_ago
    return {"part": "note", "acceptor": "a0.1", "what": what, "at": at, "last_at": at, **detail}


def failed(text: str = "no answer", seconds_ago: float = 12.0) -> dict[str, Any]:
    return note("dial_failed", seconds_ago, condition="remote-server-timeout", text=text)


HERE = Rules(hosts_local=True, hosts_remote=False, refuses=False)


def explain(*rows: dict[str, Any], rules: Rules = HERE) -> Explanation:
    return explanation(M, C, rules, rows, [], NOW)


def test_up_on_a_stream_of_ours() -> None:
    answer = explain(failed(), pair(stream="a0.1/3"), stream(sends="dialback"))
    assert answer.outgoing.state == "up"
    assert answer.outgoing.sentence == (
        f"Up: {M} reaches {C} on stream a0.1/3, which we opened 5 min 0 s ago"
        " (we proved ourselves by dialback)."
    )
    assert answer.outgoing.side == ""
    assert answer.incoming.state == "never tried"


def test_up_both_ways_on_a_stream_of_the_peers() -> None:
    answer = explain(stream(direction="in", bidi=True, sends="external", receives="external"))
    assert "which they opened" in answer.outgoing.sentence
    assert "(bidi; they proved themselves by certificate)" in answer.outgoing.sentence
    assert answer.incoming.state == "up"
    assert answer.incoming.sentence == f"Up: {C} sends on stream a0.1/3, proved by certificate."


def test_of_several_streams_the_one_in_use_is_named() -> None:
    answer = explain(
        stream(number=1, sends="external"),
        stream(number=2, sends="external"),
        pair(stream="a0.1/2"),
    )
    assert "on stream a0.1/2" in answer.outgoing.sentence


def test_dialling() -> None:
    waiting = pair(backlog_stanzas=2, dialling=("a0.1",))
    answer = explain(waiting)
    assert answer.outgoing.sentence == "Dialling: no connection yet, 2 stanzas waiting."
    begun = stream(state="waiting for proceed", age_s=4.0)
    answer = explain(waiting, begun, failed())
    assert answer.outgoing.state == "dialling"
    assert answer.outgoing.sentence == (
        "Dialling for 4 s (192.0.2.1:5269, waiting for proceed), 2 stanzas waiting."
        " The last attempt failed 12 s ago."
    )


def test_in_back_off() -> None:
    answer = explain(failed(), note("backoff", 2.0, seconds=6.0), pair(backlog_stanzas=1))
    assert answer.outgoing.state == "back-off"
    assert answer.outgoing.sentence == (
        "In back-off: not tried again for 4 s, 1 stanza waiting."
        " Reason: no answer (remote-server-timeout)."
    )
    assert explain(failed(), note("backoff", 20.0, seconds=6.0)).outgoing.state == "down"


def test_down_and_why() -> None:
    answer = explain(note("connect", failed="no answer"), failed())
    assert answer.outgoing.state == "down"
    assert answer.outgoing.sentence == (
        "Down: the last attempt failed 12 s ago. Reason: no answer (remote-server-timeout)."
    )
    assert answer.outgoing.side == "between"


def test_what_failed_before_a_success_is_past() -> None:
    proved = note("authorised", 5.0, may="send", direction="in", mechanism="external")
    ended = note("closed", 4.0, direction="in", by_peer=True, condition="", proved=True)
    answer = explain(failed(), proved, ended)
    assert answer.outgoing.state == "closed"
    assert "the last one was closed in order by them 4 s ago" in answer.outgoing.sentence


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"condition": "lost", "by_peer": True}, "lost without a word"),
        ({"condition": "reset", "by_peer": True}, "ended by them with reset"),
        ({"condition": "", "by_peer": False}, "closed in order by us"),
        ({"by_operator": True}, "closed by an operator"),
    ],
)
def test_how_the_last_stream_ended(detail: dict[str, Any], words: str) -> None:
    ended = note("closed", 4.0, direction="in", proved=True, **detail)
    for way in (explain(ended).outgoing, explain(ended).incoming):
        assert (way.state, words in way.sentence) == ("closed", True)


CERTIFICATE = note("certificate", direction="out", valid=False, reason="another name")
BY_US = note("closed", direction="out", condition="policy-violation", by_peer=False, proved=False)
BY_THEM = note("closed", direction="out", condition="not-authorized", by_peer=True, proved=False)


@pytest.mark.parametrize(
    ("notes", "side", "advice"),
    [
        ([note("dns", failed="no answer"), failed()], "between", "The DNS gives no answer"),
        (
            [
                note("dns", failed="no such name"),
                note("dial_failed", condition="remote-server-not-found", text="x"),
            ],
            "theirs",
            "The DNS has no server for their domain",
        ),
        ([note("tls", direction="out", failed="x"), BY_THEM, failed()], "between", "TLS version"),
        ([CERTIFICATE, BY_US, failed()], "theirs", "certificate does not prove"),
        ([CERTIFICATE, BY_THEM, failed()], "theirs", "Their server ended the stream"),
        ([note("refused", direction="out"), failed()], "ours", "do not take our proof"),
        ([BY_US, failed()], "ours", "Our rules ended the stream"),
        (
            [note("connect", 99.0, failed="x"), failed(seconds_ago=98.0), BY_US, failed()],
            "ours",
            "Our rules",
        ),
        (
            [note("connect", failed="x"), failed(), note("backoff", 1.0, seconds=9.0)],
            "between",
            "The network",
        ),
        ([failed()], "", ""),
    ],
    ids=str,
)
def test_on_whose_side_to_look(notes: list[dict[str, Any]], side: str, advice: str) -> None:
    way = explain(*notes).outgoing
    assert way.side == side
    assert way.advice.startswith(advice) or (advice and advice in way.advice)


def test_a_peer_that_was_not_let_in() -> None:
    answer = explain(
        note("key", direction="in"),
        note("verified", direction="in", verdict="invalid"),
        note("closed", 9.0, direction="in", condition="", by_peer=True, text="", proved=False),
    )
    assert answer.outgoing.state == "never tried"
    assert answer.incoming.state == "down"
    assert "connected and was not let in, 9 s ago" in answer.incoming.sentence
    assert answer.incoming.side == "theirs"
    assert "key could not be verified" in answer.incoming.advice


def test_a_peer_that_is_not_proved_yet() -> None:
    answer = explain(stream(direction="in", state="negotiating inside TLS", age_s=7.0))
    assert answer.incoming.state == "dialling"
    assert "connected from 192.0.2.1:5269 7 s ago and is not proved yet" in answer.incoming.sentence
    assert answer.outgoing.state == "never tried"


def test_nothing_known_and_nothing_hosted() -> None:
    answer = explain()
    assert (answer.outgoing.state, answer.incoming.state) == ("never tried", "never tried")
    answer = explain(rules=replace(HERE, hosts_local=False))
    assert answer.outgoing.state == "not hosted"
    assert answer.outgoing.sentence.startswith(f"{M} is not hosted here")


def test_two_domains_that_are_both_hosted() -> None:
    answer = explain(rules=replace(HERE, hosts_remote=True))
    assert (answer.outgoing.state, answer.incoming.state) == ("inside", "inside")
    assert "no stanza leaves the router" in answer.outgoing.sentence


def test_a_denied_domain() -> None:
    denied = replace(HERE, refuses=True)
    answer = explain(rules=denied)
    assert (answer.outgoing.state, answer.incoming.state) == ("denied", "denied")
    assert (answer.outgoing.side, "deny" in answer.outgoing.advice) == ("ours", True)
    answer = explain(BY_US | {"direction": "in"}, rules=denied)
    assert answer.outgoing.state == "denied"
    assert "connected and was not let in" in answer.incoming.sentence


def test_a_stream_kept_after_a_refusal_is_no_attempt() -> None:
    kept = stream(state="negotiating inside TLS", age_s=6.0)
    refused = note("refused", direction="out", stream=3)
    answer = explain(kept, refused, failed())
    assert (answer.outgoing.state, answer.outgoing.side) == ("down", "ours")
    asked_again = note("chosen", 3.0, direction="out", stream=3)
    assert explain(kept, refused, failed(), asked_again).outgoing.state == "dialling"


@pytest.mark.parametrize(
    ("valid", "words"),
    [(True, "certificate"), (False, "the address alone"), (None, "the address alone")],
)
def test_what_proves_a_peer_that_we_dialled(valid: bool | None, words: str) -> None:
    row = stream(sends="external", receives="external", certificate_valid=valid)
    assert f"proved by {words}" in explain(row).incoming.sentence


def test_the_end_that_an_operator_wanted() -> None:
    wanted = note("closed", 5.0, stream=3, by_operator=True)
    ended = note("closed", 4.0, stream=3, direction="out", condition="", proved=True, by_peer=False)
    assert "closed by an operator 4 s ago" in explain(wanted, ended).outgoing.sentence
    other = {**ended, "stream": 4}
    assert "closed in order by us" in explain(wanted, other).outgoing.sentence


def test_what_the_reason_has_already_is_not_repeated() -> None:
    text = "dialback answered remote-server-timeout"
    sentence = explain(failed(text)).outgoing.sentence
    assert sentence.endswith(f"Reason: {text}.")


def test_rows_find_their_place() -> None:
    later, earlier = note("connect", 1.0), note("dns", 2.0)
    answer = explain(later, stream(), earlier, pair())
    assert [row["what"] for row in answer.history] == ["dns", "connect"]
    assert [row["number"] for row in answer.streams] == [3]
    assert answer.waiting == [pair()]
    assert "part" not in {*answer.history[0], *answer.streams[0]}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (3_599.0, "59 min 59 s"),
        (7_260.0, "2 h 1 min"),
        (90_000.0, "1 d 1 h"),
    ],
)
def test_ago(seconds: float, words: str) -> None:
    assert ago(seconds) == words
