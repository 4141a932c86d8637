"""`causeway close`: asks by POST, and says what is closed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router.cli import admin
from router.cli.app import app

ROW = {"acceptor": "a0.1", "number": 3, "direction": "in", "address": "192.0.2.1:40000"}
PATH = "/api/close?local=montague.example&remote=b%C3%BCcher.example"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, bytes]]:
    """What the router answers to each path."""
    answers: dict[str, tuple[int, bytes]] = {}
    monkeypatch.setattr(admin, "post", lambda _run_dir, path: answers[path])
    return answers


def close(config: Path, *options: str) -> tuple[int, str]:
    words = ["close", "montague.example", "bücher.example", "--config", str(config), *options]
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.output


def test_what_is_closed(good_config: Path, answer: dict[str, tuple[int, bytes]]) -> None:
    ours = {**ROW, "direction": "out", "number": 4, "address": "\x1b[2J"}
    answer[PATH] = 200, json.dumps([ROW, ours]).encode()
    code, output = close(good_config)
    assert code == 0
    assert output.splitlines() == [
        "closing stream a0.1/3, opened by them, 192.0.2.1:40000",
        "closing stream a0.1/4, opened by us, \\u001b[2J",
    ]
    assert json.loads(close(good_config, "--json")[1]) == [ROW, ours]


def test_nothing_to_close(good_config: Path, answer: dict[str, tuple[int, bytes]]) -> None:
    answer[PATH] = 200, b"[]"
    assert close(good_config) == (
        0,
        "no stream carries montague.example and bücher.example\n",
    )


def test_refused_and_not_running(
    good_config: Path, answer: dict[str, tuple[int, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer[PATH] = 400, b"remote is missing\n"
    assert close(good_config) == (1, "remote is missing\n")
    monkeypatch.undo()
    code, output = close(good_config)
    assert (code, "no router answers" in output) == (1, True)
