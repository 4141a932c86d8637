"""What the commands share: common options, JSON output, and a configuration or exit code 2."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from router.config import Config
from router.config_file import ConfigErrors, ConfigProblem, load

EXIT_BAD_CONFIG: Final = 2
DEFAULT_CONFIG: Final = Path("causeway.toml")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LocalArgument = Annotated[str, typer.Argument(metavar="LOCAL", help="A domain hosted here.")]
RemoteArgument = Annotated[str, typer.Argument(metavar="REMOTE", help="A domain elsewhere.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def load_or_exit(path: Path, *, as_json: bool = False, create_secret: bool = True) -> Config:
    """The effective configuration; else prints every mistake in it and ends the command with 2."""
    try:
        return load(path, os.environ, create_secret=create_secret)
    except ConfigErrors as errors:
        if as_json:
            print_json({"ok": False, "problems": [_plain(each) for each in errors.problems]})
        else:
            for problem in errors.problems:
                typer.echo(problem, err=True)
        raise typer.Exit(EXIT_BAD_CONFIG) from None


def _plain(problem: ConfigProblem) -> dict[str, str]:
    return {"file": problem.file, "key": problem.key, "message": problem.message}
