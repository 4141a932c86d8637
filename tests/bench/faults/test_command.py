"""`causeway bench faults`: which experiments run, what the status says, what is told and kept."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.commands import app
from bench.faults import catalogue, command, page
from bench.faults.experiment import Experiment, Say, Settings
from bench.faults.recorder import Findings
from bench.faults.verdict import Account, Judge, Outcome, all_pass, unexpected
from bench.peers.daemon import DaemonError

FOUND = Findings(100, 99, 1, 0, 0, 0, 0, 0, 0, 0, 1.0, 2.0, 3.0, {"timeout: late": 1})
GOOD = Account(peak_mib=90, budget_mib=100, fds_before=50, fds_after=51, generator_share=0.2)


def outcome(number: int, found: Findings = FOUND) -> Outcome:
    judge = Judge(found, GOOD)
    judge.whole()
    judge.household()
    return Outcome(number, "a title", 1, 2.5, found, GOOD, tuple(judge.checks))


def experiment(number: int, found: Findings = FOUND, error: Exception | None = None) -> Experiment:
    async def run(settings: Settings, round_number: int, say: Say) -> Outcome:
        assert settings == Settings(700, 3, 2)
        if error is not None:
            raise error
        return outcome(number, found)

    return Experiment(number, "a title", "a fault", "a bound", run)


Invoke = Callable[..., tuple[int, dict[str, object]]]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    def invoked(*experiments: Experiment) -> tuple[int, dict[str, object]]:
        monkeypatch.setattr(catalogue, "EXPERIMENTS", experiments)
        out, html = tmp_path / "f.json", tmp_path / "f.html"
        asked = ["faults", "--rounds", "1", "--rate", "700", "--seconds", "3", "--seeds", "2"]
        asked += ["--out", str(out), "--html", str(html)]
        ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, asked)
        assert html.read_text().count("a title")
        return ran.exit_code, json.loads(out.read_text())

    return invoked


def test_status_0_where_no_bound_is_broken(invoke: Invoke) -> None:
    lacking = replace(experiment(9), needs=lambda: "no such kernel")
    status, document = invoke(experiment(1), lacking)
    assert status == 0
    first, second = document["results"]  # type: ignore[misc]
    assert (first["verdict"], second["verdict"]) == ("pass", "not run")
    assert second["why"] == "no such kernel"


@pytest.mark.parametrize("field", ["lost", "duplicated", "reordered", "both", "strange"])
def test_status_1_where_one_is(invoke: Invoke, field: str) -> None:
    status, document = invoke(experiment(1), experiment(2, replace(FOUND, **{field: 1})))
    assert status == 1
    assert page.figures(document)[0].value == 1


@pytest.mark.parametrize(
    "error", [DaemonError("the node\nis gone"), ExceptionGroup("two", [OSError(5, "no")])]
)
def test_an_experiment_that_breaks_off_has_failed(invoke: Invoke, error: Exception) -> None:
    status, document = invoke(experiment(1, error=error))
    assert status == 1
    (row,) = document["results"]  # type: ignore[misc]
    assert row["checks"][0]["name"] == "runs to its end"


def test_an_experiment_that_has_no_checks_has_not_passed() -> None:
    assert Outcome(1, "", 1, 0).verdict == "not run"
    assert all_pass([Outcome(1, "", 1, 0)])


@pytest.mark.parametrize(
    "change",
    [
        {"peak_mib": 101},
        {"fds_after": 53},
        {"fds_after": 47},
        {"books": "3 in flight at rest"},
        {"complaints": ("bus.stuck x1",)},
        {"generator_share": 0.95},
        {"not_written": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_household_of_the_node_is_judged(change: dict[str, object]) -> None:
    def broken(account: Account) -> int:
        judge = Judge(FOUND, account)
        judge.household()
        return sum(not check.good for check in judge.checks)

    assert broken(GOOD) == 0
    assert broken(replace(GOOD, **change)) == 1  # type: ignore[arg-type]


def test_clean_allows_no_bounce_at_all() -> None:
    judge = Judge(FOUND, GOOD)
    judge.clean()
    assert [check.name for check in judge.checks if not check.good] == ["bounced"]
    assert unexpected(FOUND, ("timeout",)) == 0
    assert unexpected(FOUND, ("cancelled",)) == 1


def test_the_list_has_every_experiment_of_the_plan() -> None:
    assert sorted(each.number for each in catalogue.EXPERIMENTS) == list(range(1, 41))
    ran = CliRunner(env={"COLUMNS": "250"}).invoke(app, ["faults", "--list"])
    assert ran.exit_code == 0
    assert all(each.run or each.cannot() for each in catalogue.EXPERIMENTS)
    assert "netem" in ran.output


def test_a_number_that_there_is_none_of_is_refused() -> None:
    ran = CliRunner().invoke(app, ["faults", "99"])
    assert ran.exit_code == 2
    assert "no experiment 99" in ran.output
    assert [each.number for each in catalogue.chosen([35, 1])] == [35, 1]
    assert command.ROUNDS == 3
