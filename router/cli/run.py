"""`causeway run`: the router, in the foreground."""

import os
from collections.abc import Sequence
from typing import Final

import typer

from router.cli.options import DEFAULT_CONFIG, EXIT_BAD_CONFIG, ConfigOption, load_or_exit
from router.config import Config
from router.config_file import ConfigErrors, load, make_run_dir

EXIT_CANNOT_START: Final = 1


def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the router until SIGTERM or Ctrl-C, then drain; a second signal hastens.

    SIGHUP: read the configuration and the certificates again. Where processes of a router that was
    killed live on in the run directory, they are taken on, and lose nothing.

    Exit code 0: drained. 1: it cannot start. 2: the configuration is wrong.
    """
    loaded = load_or_exit(config)
    from router.cli.node import CannotStart, run_node
    from router.log import configure

    configure("supervisor", loaded.log.level, loaded.secrets())

    def read() -> Config | Sequence[str]:
        try:
            return load(config, os.environ)
        except ConfigErrors as errors:
            return [str(problem) for problem in errors.problems]

    try:
        make_run_dir(loaded.processes.run_dir)
        code = run_node(loaded, read)
    except ConfigErrors as errors:
        typer.echo(errors, err=True)
        code = EXIT_BAD_CONFIG
    except CannotStart as error:
        typer.echo(f"cannot start: {error}", err=True)
        code = EXIT_CANNOT_START
    raise typer.Exit(code)
