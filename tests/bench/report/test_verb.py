"""The tail of every command: what is printed, what is kept, what is drawn."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench.commands import app
from bench.core import page
from bench.report import verb
from bench.report.model import Section
from bench.report.verb import finish


def ended(as_json: bool, out: Path | None = None, html: Path | None = None) -> tuple[bool, str]:
    said = io.StringIO()
    console = Console(file=said, width=40)
    return finish("core", {"rounds": 2}, [1.5], out, html, as_json, console), said.getvalue()


def test_without_options_a_table_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(as_json=False) == (False, "")
    assert capsys.readouterr().out == ""


def test_json_is_all_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(as_json=True) == (True, "")
    document = json.loads(capsys.readouterr().out)
    assert document["settings"] == {"rounds": 2}
    assert document["results"] == [1.5]


def test_files_are_written_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "figures", lambda document: [])
    monkeypatch.setattr(page, "sections", lambda document: [Section(str(document["results"]))])
    out, html = tmp_path / "new" / "a.json", tmp_path / "other" / "a.html"
    _, said = ended(as_json=False, out=out, html=html)
    assert json.loads(out.read_text())["benchmark"] == "core"
    assert "[1.5]" in html.read_text()
    assert str(out) in said
    assert str(html) in said


def test_a_report_that_cannot_be_drawn_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["core", "--html", "a.html"])
    assert result.exit_code == 2
    assert "matplotlib is missing" in result.output
