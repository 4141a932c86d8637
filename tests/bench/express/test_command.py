"""`causeway bench express`: its status, its document, and what it is asked for."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import subjects
from bench.commands import app
from bench.express import command
from bench.express.measure import Found, LeftOut, Settings
from tests.bench.express.test_tables import sample

MISSING = LeftOut("in-band", "default", 1, "no express lane within 60 s")


@pytest.fixture(autouse=True)
def is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started here."""
    monkeypatch.setattr(subjects, "installed", lambda name: "")


def runs(monkeypatch: pytest.MonkeyPatch, found: Found) -> list[Settings]:
    """What `measure` is asked for; this is what it finds."""
    asked: list[Settings] = []

    async def measure(settings: Settings, watcher: object) -> Found:
        asked.append(settings)
        return found

    monkeypatch.setattr(command, "measure", measure)
    return asked


@pytest.mark.parametrize(
    ("per_second", "left_out", "status", "words"),
    [
        (500, (), 0, "5x, held"),
        (499, (), 1, "NOT HELD"),
        (500, (MISSING,), 1, "no express lane within 60 s"),
    ],
)
def test_the_status_says_whether_the_bound_is_held_and_nothing_is_missing(
    per_second: int,
    left_out: tuple[LeftOut, ...],
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    found = Found((sample("ordinary", 100), sample("socks5", per_second)), left_out)
    runs(monkeypatch, found)
    out = tmp_path / "express.json"
    wide = CliRunner(env={"COLUMNS": "160"})
    ran = wide.invoke(app, ["express", "--rounds", "1", "--out", str(out)])
    assert ran.exit_code == status, ran.output
    assert words in ran.stdout
    document = json.loads(out.read_text())
    assert document["settings"]["rounds"] == 1
    assert [row["way"] for row in document["results"]["samples"]] == ["ordinary", "socks5"]
    assert len(document["results"]["left_out"]) == len(left_out)


def test_ways_and_limits_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = runs(monkeypatch, Found((), ()))
    CliRunner().invoke(app, ["express", "--ways", "socks5, ordinary", "--limits", "none"])
    assert (asked[0].ways, asked[0].limits) == (("ordinary", "socks5"), ("none",))


@pytest.mark.parametrize("options", [["--ways", "pigeon"], ["--limits", "ordinary"]])
def test_what_is_none_is_refused(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = runs(monkeypatch, Found((), ()))
    assert CliRunner().invoke(app, ["express", *options]).exit_code == 2
    assert asked == []


def test_without_prosody_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = runs(monkeypatch, Found((), ()))
    monkeypatch.setattr(subjects, "installed", lambda name: "Prosody is not installed")
    ran = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["express"])
    assert (ran.exit_code, asked) == (2, [])
    assert "Prosody is not installed" in ran.output
