"""`causeway bench throughput`: what is asked for reaches the rounds; figures, targets, reports."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import subjects
from bench.commands import app
from bench.report.registry import page_of
from bench.throughput import command
from bench.throughput.measure import Sample, Settings, plan
from router.xmpp import reader

CPU_US = {"causeway": 4.0, "causeway-pure": 10.0, "prosody": 90.0, "ejabberd": 30.0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What the rounds were asked for; they take no time."""
    found: list[Settings] = []

    async def measure(settings: Settings, watcher: Any) -> list[Sample]:
        found.append(settings)
        samples = []
        for step in plan(settings):
            watcher.now(step.subject)
            cpu_us = CPU_US[step.subject] + 0.1 * step.round
            samples.append(
                Sample(
                    subject=step.subject,
                    mode=step.cell.mode,
                    direction=step.cell.direction,
                    pairs=step.cell.pairs,
                    size_bytes=step.cell.size_bytes,
                    acceptors=step.cell.acceptors,
                    burst_stanzas=171,
                    round=step.round,
                    stanzas=1000,
                    wall_s=0.01,
                    cpu_us=cpu_us,
                    cpu_us_by_process={"supervisor": 0.0, "a0.1": cpu_us},
                    generator_core_share=0.95 if step.subject == "causeway" else 0.1,
                )
            )
            watcher.done()
        return samples

    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(subjects, "installed", lambda name: "")
    monkeypatch.setattr(subjects, "version", lambda name: "1.0")
    monkeypatch.setattr(reader, "IMPLEMENTATION", "compiled")
    return found


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["throughput", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_the_table_has_medians_and_ratios_and_withholds_what_the_generator_set(
    asked: list[Settings],
) -> None:
    output = run("--against", "ejabberd", "--mode", "in", "--rounds", "3", "--workers", "2")
    assert (asked[0].rounds, asked[0].workers) == (3, 2)
    rows = [cells_of(line) for line in output.splitlines() if line.startswith("│")]
    assert rows[0] == ["in", "causeway", "4.20", "withheld", "a0.1 4.20", "95%", ""]
    ratio = "7.19 x (7.05..7.34)"
    assert rows[1] == ["in", "ejabberd", "30.20", "100,000", "a0.1 30.20", "10%", ratio]
    assert rows[2][1:] == ["in", ratio, "NO"]
    assert "withheld where the generator took 90%" in output


@pytest.mark.parametrize(
    ("wanted", "ours"),
    [
        ([], ("causeway",)),
        (["--reader", "pure"], ("causeway-pure",)),
        (["--reader", "both"], ("causeway", "causeway-pure")),
    ],
)
def test_the_readers_are_servers_of_their_own(
    asked: list[Settings], wanted: list[str], ours: tuple[str, ...]
) -> None:
    run("--mode", "in", *wanted)
    assert asked[0].subjects == ours


def test_a_reader_that_is_not_built_is_refused(
    asked: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "IMPLEMENTATION", "pure")
    assert "not built" in run("--reader", "compiled", code=2)
    run("--mode", "in")
    assert asked[0].subjects == ("causeway-pure",)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--against", "someone"),
        ("--mode", "inward"),
        ("--sizes", "10"),
        ("--sizes", "many"),
        ("--pairs", "0"),
        ("--acceptors", ""),
    ],
)
def test_what_cannot_be_measured_is_refused(asked: list[Settings], wrong: tuple[str, str]) -> None:
    run(*wrong, code=2)
    assert asked == []


def test_a_run_cut_short_is_no_result(
    asked: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measure(*_: object) -> list[Sample]:
        raise ConnectionError("the connection ended after 1 of 3 stanzas")

    monkeypatch.setattr(command, "measure", measure)
    assert "cut short: the connection ended after 1 of 3" in run("--mode", "in", code=1)


def test_the_document_alone_draws_the_report(asked: list[Settings], tmp_path: Path) -> None:
    out, html = tmp_path / "t.json", tmp_path / "t.html"
    more = ["--sizes", "383,4096", "--pairs", "1,100", "--acceptors", "1,2", "--rounds", "2"]
    document = json.loads(
        run("--against", "prosody", *more, "--out", str(out), "--html", str(html), "--json")
    )
    assert document == json.loads(out.read_text())
    assert document["versions"]["prosody"] == "1.0"
    assert document["settings"]["sent"]["383"].startswith("<message from='romeo@capulet")
    source = page_of(document)
    titles = [section.title for section in source.sections(document)]
    assert titles == [
        "Targets",
        "CPU per stanza",
        "Stanzas per second",
        "Size of a stanza",
        "Domain pairs",
        "Acceptors",
        "All figures",
    ]
    figures = source.figures(document)
    assert figures[0].name == "causeway: in"
    assert figures[0].samples == (4.1, 4.2)
    assert len({figure.name for figure in figures}) == len(figures)
    assert "<svg" in html.read_text()
