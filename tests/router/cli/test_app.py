"""The command as a whole: its commands, and how soon it answers."""

import subprocess
import sys

from typer.testing import CliRunner

from router.cli.app import app


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__name__ in result.output
        assert CliRunner().invoke(app, [command.callback.__name__, "--help"]).exit_code == 0


def test_help_loads_nothing_heavy() -> None:
    program = "import sys, router.cli.app; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"aiohttp", "cryptography", "dns", "lxml", "pydantic", "uvloop", "zmq"}
    assert heavy & set(run.stdout.split()) == set()
