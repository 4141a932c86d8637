"""`causeway health`: its exit code is what container engines go by."""

import json
from pathlib import Path

from typer.testing import CliRunner

from router.cli.app import app
from tests.router.cli.conftest import Pretend


def health(config: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["health", "--config", str(config), *options])
    return result.exit_code, result.output


def test_ready(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router("/ready", 200, b"ready\n")
    assert health(good_config) == (0, "ready\n")


def test_not_ready_says_why(good_config: Path, pretend_router: Pretend) -> None:
    pretend_router("/ready", 503, b"acceptor 0 is not up\nno worker is up\n")
    reasons = ["acceptor 0 is not up", "no worker is up"]
    assert health(good_config) == (1, "not ready: " + "; ".join(reasons) + "\n")
    code, output = health(good_config, "--json")
    assert (code, json.loads(output)) == (1, {"ready": False, "reasons": reasons})


def test_not_running(good_config: Path) -> None:
    code, output = health(good_config)
    assert code == 1
    assert "no router answers" in output


def test_a_bad_configuration(good_config: Path) -> None:
    good_config.write_text("[listen]\nhttps = 1\n")
    code, output = health(good_config)
    assert code == 2
    assert "listen.https" in output
