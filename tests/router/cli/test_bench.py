"""`causeway bench`: hands everything on to the measurements, which load only when asked."""

import builtins
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.core import alone, profile
from router.cli.app import app

PARTS = [alone.Part("reader", 1, "octets to runs", (1.0,))]


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """As if the package were not installed."""
    load = builtins.__import__

    def refusing(name: str, *more: Any) -> Any:
        if name.split(".")[0] == "bench":
            raise ImportError(f"No module named {package!r}", name=package)
        return load(name, *more)

    monkeypatch.delitem(sys.modules, "bench.commands", raising=False)
    monkeypatch.setattr(builtins, "__import__", refusing)


def test_arguments_and_options_reach_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "measure", lambda *_, **__: PARTS)
    monkeypatch.setattr(profile, "measure", lambda *_, **__: [])
    result = CliRunner().invoke(app, ["bench", "core", "--json"])
    assert result.exit_code == 0
    assert '"reader"' in result.stdout


def test_help_is_that_of_the_measurements() -> None:
    result = CliRunner().invoke(app, ["bench", "--help"])
    assert result.exit_code == 0
    assert "throughput" in result.output
    assert "causeway bench" in result.output


@pytest.mark.parametrize("package", ["psutil", "slixmpp"])
def test_what_is_missing_is_said_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    without(monkeypatch, package)
    result = CliRunner().invoke(app, ["bench", "core"])
    assert result.exit_code == 1
    assert result.stderr == f"{package} is missing: pip install 'causeway[bench]'\n"


def test_any_other_failure_to_load_is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "bench.core")
    result = CliRunner().invoke(app, ["bench", "core"])
    assert isinstance(result.exception, ImportError)


def test_the_command_loads_no_measurement_by_itself() -> None:
    code = "import sys, router.cli.app; sys.exit('bench' in sys.modules or 'psutil' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
