"""`causeway worker`: becomes the role process, options and all."""

import os
import sys

import pytest
from typer.testing import CliRunner

from router.cli.app import app

OPTIONS = ["--config", "c.json", "--slot", "0", "--incarnation", "1", "--control", "c.sock"]


def test_it_becomes_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, args: became.append((path, args)))
    result = CliRunner().invoke(app, ["worker", *OPTIONS])
    assert result.exit_code == 0
    assert became == [(sys.executable, [sys.executable, "-m", "workers", *OPTIONS])]
