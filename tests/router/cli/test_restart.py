"""`causeway restart`: what it prints, and its exit codes."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from router.cli import restart as module
from router.cli.admin import Refused
from router.cli.app import app

DONE = {
    "process": "a0.1",
    "replacement": "a0.2",
    "state": "done",
    "how": "exit code 0",
    "seconds": 1.25,
}


def run(good_config: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["restart", "--config", str(good_config), *words])
    return result.exit_code, result.output


def answers(monkeypatch: pytest.MonkeyPatch, *documents: dict[str, Any]) -> None:
    """The router says these, one after another."""
    said = iter(documents)
    monkeypatch.setattr(module, "POLL_S", 0.0)
    monkeypatch.setattr(module, "post_json", lambda *_: next(said))
    monkeypatch.setattr(module, "get_json", lambda *_: next(said))


def test_each_process_is_told_of_as_it_goes(
    good_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [{**DONE, "state": state} for state in ("waiting", "starting", "draining", "done")]
    states = ("running", "running", "running", "done")
    answers(
        monkeypatch,
        *({"state": state, "steps": [step]} for state, step in zip(states, steps, strict=True)),
    )
    assert run(good_config) == (
        0,
        "a0.1: its replacement starts\n"
        "a0.1: a0.2 serves; it drains\n"
        "a0.1: replaced by a0.2 in 1.2 s, exit code 0\n",
    )


def test_one_that_was_not_replaced_is_1(good_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = {**DONE, "state": "failed", "how": "the replacement did not become ready"}
    answers(monkeypatch, {"state": "failed", "steps": [step]})
    code, output = run(good_config)
    assert code == 1
    assert output == "a0.1: not replaced: the replacement did not become ready\n"


def test_a_refusal_is_1(good_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Refused("not now")

    monkeypatch.setattr(module, "post_json", refuse)
    assert run(good_config) == (1, "not now\n")


def test_nobody_there_is_1(good_config: Path) -> None:
    code, output = run(good_config, "--supervisor")
    assert code == 1
    assert "no router answers" in output


def test_the_supervisor_is_replaced_when_another_one_answers(
    good_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"state": "", "steps": [], "supervising_since": 1.0}
    answers(monkeypatch, before, before, {**before, "supervising_since": 2.0})
    assert run(good_config, "--supervisor") == (0, "the supervisor is replaced\n")
