"""`causeway bench core`: measures, shows tables, keeps a document from which all is drawn again."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.commands import app
from bench.core import alone, journey, page, profile
from bench.core.readers import readers

PART = alone.Part("lanes", 171, "keep, take", (0.5, 0.7, 0.6))
EMPTY = dict.fromkeys(journey.STAGES, 0.0)


def sample(reader_us: float, is_reliable: bool) -> profile.Sample:
    kept_us = 0.5 if is_reliable else 0.0
    return EMPTY | {journey.READ: reader_us, journey.RETAIN: kept_us}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the measurements were asked for; they take no time."""
    asked: dict[str, Any] = {}

    def of_ways(found: Any, **settings: Any) -> list[profile.Profile]:
        asked.update(settings)
        settings["say"]("the way of a stanza")
        return [
            profile.Profile(kind, 10, tuple(sample(us, kind.is_reliable) for us in (5.0, 4.0, 6.0)))
            for kind in profile.kinds(tuple(found), settings["sizes_bytes"])
        ]

    monkeypatch.setattr(alone, "measure", lambda *_, **__: [PART])
    monkeypatch.setattr(profile, "measure", of_ways)
    return asked


def run(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["core", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_tables_have_best_and_median_and_every_stage(measured: dict[str, Any]) -> None:
    shown = run("--sizes", "383", "--rounds", "2")
    assert (measured["sizes_bytes"], measured["rounds"]) == ((383,), 2)
    (lanes,) = [row for row in shown.splitlines() if "lanes" in row]
    cells = [cell.strip() for cell in lanes.split("│")[1:-1]]
    assert cells == ["lanes", "0.5", "0.6", "171", "keep, take"]
    assert all(stage in shown for stage in journey.STAGES)
    assert "8.3 … 12.5 %" in shown


def test_the_document_holds_raw_samples_and_is_all_that_is_printed(
    measured: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "core.json"
    printed = json.loads(run("--json", "--sizes", "383", "--out", str(out)))
    assert printed == json.loads(out.read_text())
    assert printed["settings"]["readers"] == list(readers())
    assert printed["results"][0]["part"]["samples_us"] == [0.5, 0.7, 0.6]
    way = printed["results"][1]["profile"]
    assert [one[journey.READ] for one in way["samples"]] == [5.0, 4.0, 6.0]


def test_a_report_is_drawn_from_the_document_alone(measured: dict[str, Any]) -> None:
    document = json.loads(run("--json", "--sizes", "383"))
    figures = {figure.name: figure for figure in page.figures(document)}
    whole = figures["383 B, pure reader, the whole way"]
    assert (whole.value, whole.samples) == (5.5, (5.5, 4.5, 6.5))
    assert figures["383 B, pure reader, reliability adds"].value == pytest.approx(10)
    assert figures["lanes, alone"].value == 0.6
    titles = [section.title for section in page.sections(document)]
    assert "The way of a stanza, pure reader" in titles
    assert titles[-1] == "Parts alone"


@pytest.mark.parametrize("sizes", ["many", "383,20"])
def test_a_size_that_no_stanza_can_have_is_refused(sizes: str) -> None:
    result = CliRunner().invoke(app, ["core", "--sizes", sizes])
    assert result.exit_code == 2
    assert "--sizes" in result.output
