"""`causeway bench report`: a document drawn again, two compared, all others refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import result
from bench.commands import app
from bench.hostile import page
from bench.report.model import Document, Figure, Section


@pytest.fixture(autouse=True)
def benchmark_of_one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "hostile" with rounds, so that there is something to decide."""

    def figures(document: Document) -> list[Figure]:
        samples = tuple(document["results"])
        return [Figure("p99", sorted(samples)[len(samples) // 2], "ms", samples)]

    monkeypatch.setattr(page, "figures", figures)
    monkeypatch.setattr(page, "sections", lambda document: [Section("Drawn again")])


def kept(path: Path, *samples: float, name: str = "hostile", **more: Any) -> str:
    path.write_text(json.dumps(result.document(name, samples) | more))
    return str(path)


def run(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["report", *arguments])


def test_one_document_is_shown_and_drawn(tmp_path: Path) -> None:
    html = tmp_path / "a.html"
    ran = run(kept(tmp_path / "a.json", 3, 4, 5), "--html", str(html))
    assert ran.exit_code == 0, ran.output
    assert "4 ms" in ran.output
    assert "3 … 5" in ran.output
    assert "Drawn again" in html.read_text()


def test_two_are_compared_on_the_screen_and_on_a_page(tmp_path: Path) -> None:
    html = tmp_path / "both.html"
    before, after = kept(tmp_path / "a.json", 10, 11, 12), kept(tmp_path / "b.json", 7, 8, 9)
    ran = run(before, after, "--html", str(html))
    assert ran.exit_code == 0, ran.output
    (row,) = [line for line in ran.output.splitlines() if "p99" in line]
    cells = [cell.strip() for cell in row.split("│")[1:-1]]
    assert cells == ["p99", "11 ms (10 … 12)", "8 ms (7 … 9)", "0.727x", "0.100", "better"]
    drawn = html.read_text()
    assert "<svg" in drawn
    assert "<b>1 <small>of 1</small></b><span>better</span>" in drawn
    assert "The machines differ" not in drawn


def test_another_machine_is_said(tmp_path: Path) -> None:
    html = tmp_path / "both.html"
    other = kept(tmp_path / "b.json", 7, 8, 9, machine={"cpu": "x", "cores": 64, "kernel": "7"})
    assert run(kept(tmp_path / "a.json", 1, 2, 3), other, "--html", str(html)).exit_code == 0
    assert "The machines differ" in html.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON", "it is no result"),
        ("[]", "it is no result"),
        ('{"benchmark": "tea"}', "there is no benchmark 'tea'"),
        ('{"benchmark": "hostile"}', "not a result as this version writes them"),
    ],
)
def test_what_is_no_document_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    ran = run(str(path))
    assert ran.exit_code == 2
    assert said in " ".join(ran.output.replace("│", " ").split())
    assert run(str(tmp_path / "none.json")).exit_code == 2


def test_documents_of_two_benchmarks_are_refused(tmp_path: Path) -> None:
    core = kept(tmp_path / "b.json", name="core", settings={"readers": []})
    ran = run(kept(tmp_path / "a.json", 1, 2, 3), core)
    assert ran.exit_code == 2
    assert "of hostile, the other of core" in ran.output


def test_a_figure_that_fell_to_nothing_is_in_the_table_alone(tmp_path: Path) -> None:
    html = tmp_path / "both.html"
    before, after = kept(tmp_path / "a.json", 10, 11, 12), kept(tmp_path / "b.json", 0, 0, 0)
    assert run(before, after, "--html", str(html)).exit_code == 0
    drawn = html.read_text()
    assert "<td>better</td>" in drawn
    assert "<svg" not in drawn
