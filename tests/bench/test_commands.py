"""`causeway bench …`: measures, shows a table, or prints and keeps JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import commands, core, throughput
from bench.authority import Authority
from bench.commands import app

STAGES = [core.Stage("reader", 1.234, 171, "octets → runs"), core.Stage("lanes", 0.5, 1, "keep")]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the measurements were asked for; they take no time."""
    asked: dict[str, Any] = {}

    async def measure(**settings: Any) -> list[throughput.Result]:
        asked.update(settings)
        settings["say"]("round 1")
        return [
            throughput.Result(
                mode, 1000, 383, wall_s, cpu_us, {"supervisor": 0.1, "a0.1": cpu_us - 0.1}, 0.4
            )
            for mode in settings["modes"]
            for wall_s, cpu_us in ((1.0, 4.0), (0.5, 9.0), (2.0, 5.0))
        ]

    monkeypatch.setattr(core, "measure", lambda: STAGES)
    monkeypatch.setattr(throughput, "measure", measure)
    return asked


def run(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_core_shows_a_row_for_each_stage(measured: dict[str, Any]) -> None:
    rows = run("core").splitlines()
    (reader,) = [row for row in rows if "reader" in row]
    assert [cell.strip() for cell in reader.split("│")[1:-1]] == [
        "reader",
        "1.23",
        "171",
        "octets → runs",
    ]


def test_core_as_json_is_one_document_with_its_header(measured: dict[str, Any]) -> None:
    document = json.loads(run("core", "--json"))
    assert document["benchmark"] == "core"
    assert document["results"][1] == {
        "name": "lanes",
        "cpu_us": 0.5,
        "stanzas_per_call": 1,
        "what": "keep",
    }


def test_a_result_can_be_kept_and_shown_at_once(measured: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "core.json"
    assert "reader" in run("core", "--out", str(out))
    assert json.loads(out.read_text())["results"][0]["name"] == "reader"


def test_throughput_shows_medians_of_each_mode(measured: dict[str, Any]) -> None:
    output = run("throughput", "--stanzas", "1000", "--rounds", "3", "--acceptors", "2")
    assert "round 1" in output
    assert (measured["stanzas"], measured["rounds"]) == (1000, 3)
    assert (measured["acceptors"], measured["workers"]) == (2, 1)
    assert measured["modes"] == throughput.MODES
    (echo,) = [row for row in output.splitlines() if "echo" in row]
    cells = [cell.strip() for cell in echo.split("│")[1:-1]]
    assert cells == ["echo", "5.00", "1,000", "4.90 µs", "40% of a core"]


def test_throughput_as_json_keeps_progress_out_of_it(measured: dict[str, Any]) -> None:
    document = json.loads(run("throughput", "--json"))
    assert len(document["results"]) == 3 * len(throughput.MODES)
    assert document["results"][1]["per_second"] == 2000.0


def fake(certificate: Path, *more: str) -> tuple[int, str]:
    arguments = ["fake", "plain", "--domain", "a.example", "--certificate", str(certificate), *more]
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments)
    return result.exit_code, result.output


def test_a_fake_without_a_certificate_says_so(tmp_path: Path) -> None:
    code, output = fake(tmp_path / "a.crt")
    assert code == 2
    assert f"there is no file {tmp_path / 'a.crt'}" in output
    for name in ("a.crt", "a.key"):
        (tmp_path / name).write_text("no PEM")
    expected = (1, "cannot start: a PEM file is not what it should be\n")
    assert fake(tmp_path / "a.crt") == expected
    issuer = Authority.make(tmp_path / "ca")
    issuer.issue("a.example")
    certificate = issuer.directory / "a.example.crt"
    assert fake(certificate, "--trust", str(certificate.with_suffix(".key"))) == expected


def test_without_a_verb_it_says_what_there_is() -> None:
    output = CliRunner().invoke(app, []).output
    assert "core" in output
    assert "throughput" in output
    assert commands.app is app
