"""A short soak of a real node, its report, and the exit code."""

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.commands import app
from bench.soak import measure, page
from bench.soak.ledger import Findings

BOOKS = measure.Books(
    10, {"handed": 9, "bounced": 1, "filtered": 0, "unbounceable": 0, "answered": 0}, 0
)
FINDINGS = Findings(10, 9, 1, 0, 0, 0, 0, 0)
MOMENTS = tuple(measure.Moment(float(n), n * 5, n * 5, 100.0 + n, 120.0) for n in range(4))
GOOD = measure.Result(FINDINGS, BOOKS, MOMENTS, 3, 1, 0.1, 0.3)


@pytest.mark.parametrize(
    "change",
    [
        {"findings": dataclasses.replace(FINDINGS, lost=1)},
        {"findings": dataclasses.replace(FINDINGS, doubled=1)},
        {"findings": dataclasses.replace(FINDINGS, reordered=1)},
        {"findings": dataclasses.replace(FINDINGS, strange=1)},
        {"findings": dataclasses.replace(FINDINGS, sent=11)},
        {"books": dataclasses.replace(BOOKS, taken_in=11)},
        {"books": dataclasses.replace(BOOKS, taken_in=11, in_flight=1)},
    ],
    ids=["lost", "doubled", "reordered", "strange", "not taken in", "no balance", "in flight"],
)
def test_each_fault_is_a_failure(change: dict[str, object]) -> None:
    assert GOOD.is_good
    assert not dataclasses.replace(GOOD, **change).is_good  # type: ignore[arg-type]


def test_books_are_read_from_the_metrics() -> None:
    metrics = {
        ("causeway_stanzas_total", ("message", "s2s", "in")): 7.0,
        ("causeway_stanzas_total", ("iq", "component", "in")): 3.0,
        ("causeway_stanzas_total", ("iq", "component", "out")): 99.0,
        ("causeway_stanza_outcomes_total", ("handed",)): 9.0,
        ("causeway_stanza_outcomes_total", ("bounced",)): 1.0,
        ("causeway_stanzas_in_flight", ()): 0.0,
    }
    assert measure.read(metrics) == BOOKS


@pytest.mark.parametrize(("lost", "status"), [(0, 0), (1, 1)])
def test_the_command_says_by_its_status_whether_a_stanza_was_lost(
    lost: int, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def run(plan: measure.Plan, now: object) -> measure.Result:
        assert (plan.seconds, plan.per_s) == (7, 50)
        return dataclasses.replace(GOOD, findings=dataclasses.replace(FINDINGS, lost=lost))

    monkeypatch.setattr(measure, "measure", run)
    out, html = tmp_path / "soak.json", tmp_path / "soak.html"
    asked = ["soak", "--seconds", "7", "--rate", "50", "--out", str(out), "--html", str(html)]
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, asked)
    assert ran.exit_code == status, ran.output
    document = json.loads(out.read_text())
    assert document["results"]["findings"]["lost"] == lost
    assert "Memory over time" in html.read_text()
    assert page.figures(document)[0].value == lost


@pytest.mark.processes
async def test_a_short_soak_accounts_for_every_stanza() -> None:
    said: list[str] = []
    plan = measure.Plan(
        seconds=1.0,
        per_s=400,
        remotes=2,
        components=1,
        close_every_s=0.25,
        reattach_every_s=0.4,
        sample_s=0.3,
        acceptors=1,
        workers=1,
    )
    found = await measure.measure(plan, said.append)
    assert found.is_good, found
    assert found.findings.sent > 200
    assert found.streams_closed >= 2
    assert found.components_reattached >= 1
    assert len(found.moments) == len(said) >= 3
    assert found.moments[-1].pss_mib > 10
