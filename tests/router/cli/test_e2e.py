"""`causeway e2e`: a row for each session, and one begun by POST."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router.cli import admin
from router.cli.app import app

ROW = {
    "acceptor": "a0.1",
    "peer": "relay.capulet.example",
    "sid": "s1",
    "role": "initiator",
    "state": "active",
    "transport": "socks5",
    "stream": 7,
    "stream_state": "open",
    "tls": "TLSv1.3",
    "pairs": ["montague.example to capulet.example"],
}
BEGUN = {**ROW, "peer": "\x1b[2J", "transport": "", "stream": None, "stream_state": "", "pairs": []}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, bytes]]:
    """What the router answers to each path."""
    found: dict[str, tuple[int, bytes]] = {}
    for method in ("get", "post"):
        monkeypatch.setattr(admin, method, lambda _run_dir, path: found[path])
    return found


def e2e(config: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["e2e", *words, "--config", str(config)])
    return result.exit_code, result.output


def test_sessions_are_shown(good_config: Path, answers: dict[str, tuple[int, bytes]]) -> None:
    answers["/api/e2e"] = 200, json.dumps([ROW, BEGUN]).encode()
    code, output = e2e(good_config, "show")
    assert code == 0
    for shown in ("relay.capulet.example", "a0.1/7", "socks5", "montague.example to", "\\u001b"):
        assert shown in output
    assert json.loads(e2e(good_config, "show", "--json")[1]) == [ROW, BEGUN]


def test_one_is_opened(good_config: Path, answers: dict[str, tuple[int, bytes]]) -> None:
    path = "/api/e2e/open?peer=juliet%40capulet.example"
    answers[path] = 200, json.dumps([ROW]).encode()
    code, output = e2e(good_config, "open", "juliet@capulet.example")
    assert (code, output) == (0, "session s1 with relay.capulet.example on a0.1\n")
    assert json.loads(e2e(good_config, "open", "juliet@capulet.example", "--json")[1]) == [ROW]
    answers[path] = 200, b"[]"
    code, output = e2e(good_config, "open", "juliet@capulet.example")
    assert (code, "nobody here has sessions" in output) == (1, True)


def test_refused_and_not_running(
    good_config: Path, answers: dict[str, tuple[int, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers["/api/e2e/open?peer=a+b"] = 400, b"peer is none\n"
    assert e2e(good_config, "open", "a b") == (1, "peer is none\n")
    monkeypatch.undo()
    code, output = e2e(good_config, "show")
    assert (code, "no router answers" in output) == (1, True)
