"""`causeway acceptor`: one acceptor process by itself, as a supervisor or a container starts it."""

import os
import sys

import typer

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def acceptor(context: typer.Context) -> None:
    """Become an acceptor process; the options are those of python -m router.acceptor."""
    os.execv(sys.executable, [sys.executable, "-m", "router.acceptor", *context.args])
