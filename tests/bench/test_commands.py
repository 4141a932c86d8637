"""The verbs of `causeway bench`; what each does is tested beside where it lives."""

import pytest
from typer.testing import CliRunner

from bench.commands import app
from bench.report.registry import TITLES


def test_without_a_verb_it_says_what_there_is() -> None:
    output = CliRunner(env={"COLUMNS": "200"}).invoke(app, []).output
    for verb in ("core", "hostile", "report", "fake"):
        assert f"│ {verb} " in output


@pytest.mark.parametrize("verb", [command.name for command in app.registered_commands])
def test_every_verb_says_what_it_does(verb: str) -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_every_measurement_keeps_its_document_and_draws_it() -> None:
    for command in app.registered_commands:
        if command.name in TITLES:
            help_text = (
                CliRunner(env={"COLUMNS": "200"}).invoke(app, [command.name, "--help"]).output
            )
            assert all(option in help_text for option in ("--json", "--out", "--html"))
