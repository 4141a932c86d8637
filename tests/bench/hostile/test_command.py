"""`causeway bench hostile`: its status says whether harm was done, its report says what."""

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.commands import app
from bench.hostile import measure, page

CALM = measure.Latency(1, 2, 3, 4)
FLOODED = measure.Latency(5, 6, 7, 8)
FOUND = measure.Result(
    seconds=7,
    stanzas_per_s=2000,
    connections_per_minute=60,
    sent=10,
    lost=0,
    duplicated=0,
    reordered=0,
    forged=0,
    calm=CALM,
    flooded=FLOODED,
    rss_before_mib=100,
    rss_peak_mib=120,
    rss_after_mib=110,
    connections={"slow_header": {"bad-format": 2, "left by us": 1}},
    cpu_share={"a0.1": 0.5},
    course=(measure.Moment(1, 5, 6, 118), measure.Moment(2, 5, 7, 120)),
)


@pytest.mark.parametrize(("lost", "status"), [(0, 0), (1, 1)])
def test_the_command_says_by_its_status_whether_harm_was_done(
    lost: int, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def found(**settings: object) -> measure.Result:
        assert (settings["seconds"], settings["stanzas_per_s"]) == (7, 2000)
        return dataclasses.replace(FOUND, lost=lost)

    monkeypatch.setattr(measure, "measure", found)
    out = tmp_path / "hostile.json"
    ran = CliRunner().invoke(app, ["hostile", "--seconds", "7", "--out", str(out)])
    assert ran.exit_code == status, ran.output
    assert "3 hostile connections" in ran.stdout
    document = json.loads(out.read_text())
    assert document["settings"]["seconds"] == 7
    (row,) = document["results"]
    assert row["lost"] == lost


def test_the_report_tells_the_same_as_the_run() -> None:
    document = json.loads(json.dumps({"results": [measure.as_row(FOUND)]}))
    figures = {figure.name: figure.value for figure in page.figures(document)}
    assert figures["ordinary stanzas harmed"] == 0
    assert figures["p99 in the flood, there and back"] == 6
    assert figures["memory after, less before"] == 10
    sections = {section.title: section for section in page.sections(document)}
    assert "3 hostile connections" in sections["What ordinary stanzas noticed"].text
    assert "<svg" in sections["Latency in the flood"].svg
    table = sections["How the hostile ones ended"].table
    assert table is not None
    assert table.rows == (("slow header", "3", "2 bad-format, 1 left by us"),)
