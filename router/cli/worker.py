"""`causeway worker`: one worker process by itself, as a supervisor or a container starts it."""

import os
import sys

import typer

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def worker(context: typer.Context) -> None:
    """Become a worker process; the options are those of python -m workers."""
    os.execv(sys.executable, [sys.executable, "-m", "workers", *context.args])
