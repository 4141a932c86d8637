"""`causeway bench bidi`: what it asks for, what it shows, and that it tells of what failed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import subjects
from bench.bidi import command
from bench.bidi.cell import Cell, Result
from bench.commands import app
from tests.support.bidi_document import made_up

FEW = ("--pairs", "1,5", "--auth", "external", "--between", "causeway-causeway", "--rtt", "0")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the measurement was asked for; it takes no time, and `broken` cells fail."""
    asked: dict[str, Any] = {"broken": 0}

    async def measure(
        wanted: list[Cell],
        rounds: int,
        distance: object,
        begins: Callable[[str], None],
        ended: Callable[[], None],
        failed: Callable[[str], None],
    ) -> list[Result]:
        asked.update(cells=wanted, rounds=rounds, distance=distance)
        for cell in wanted:
            begins(cell.words())
            ended()
        for cell in wanted[: asked["broken"]]:
            failed(f"{cell.words()}: it bounced")
        return [made_up(cell) for cell in wanted[asked["broken"] :]]

    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(command, "why_no_netem", lambda: "no netem in this kernel")
    monkeypatch.setattr(subjects, "installed", lambda name: "")
    return asked


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "220"}).invoke(app, ["bidi", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code < 2 else result.output


def test_it_shows_what_is_saved(measured: dict[str, Any]) -> None:
    output = run(*FEW, "--mix", "request")
    assert [(each.pairs, each.certificates) for each in measured["cells"][::2]] == [
        (1, "domain"),
        (1, "node"),
        (5, "domain"),
        (5, "node"),
    ]
    assert "delay proxy: no netem in this kernel" in output
    _, table = output.split("Causeway to Causeway, SASL EXTERNAL, request")
    rows = [
        [cell.strip() for cell in row.split("│")[1:-1]] for row in table.splitlines() if "│" in row
    ]
    cells = next(row for row in rows if row[0] == "5")
    assert cells[:6] == ["5", "0", "10 → 5", "-50 %", "-50 %", "-50 %"]


def test_json_is_one_document_with_its_settings(measured: dict[str, Any], tmp_path: Path) -> None:
    html = tmp_path / "bidi.html"
    document = json.loads(run(*FEW, "--json", "--html", str(html)))
    assert document["benchmark"] == "bidi"
    assert document["settings"]["why_no_netem"] == "no netem in this kernel"
    assert len(document["results"]) == len(measured["cells"])
    assert document["results"][0]["first_s"] == [0.001]
    assert "What one connection for both directions saves" in html.read_text()


def test_a_cell_without_a_result_is_told_of(measured: dict[str, Any]) -> None:
    measured["broken"] = 1
    document = json.loads(run(*FEW, "--json", code=1))
    (why,) = document["settings"]["failures"]
    assert why.endswith("it bounced")
    assert len(document["results"]) == len(measured["cells"]) - 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--pairs", "0"),
        ("--pairs", "a"),
        ("--rtt", "-1"),
        ("--auth", "sasl"),
        ("--mix", ""),
        ("--between", "causeway"),
        ("--between", "causeway-ejabberd"),
    ],
)
def test_what_makes_no_sense_is_refused(measured: dict[str, Any], option: str, value: str) -> None:
    assert option in run(option, value, code=2)
    assert "cells" not in measured


def test_a_server_that_is_missing_is_named(
    measured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "installed", lambda name: "Prosody is not installed")
    assert "Prosody is not installed" in run("--between", "prosody-prosody", code=2)
