"""`causeway bench …`: the measurements, which live beside the router and load only when asked."""

from typing import Any, Final

import typer

CONTEXT: Final[dict[str, Any]] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def bench(context: typer.Context) -> None:
    """Measure the program on this machine: `causeway bench --help` lists the measurements."""
    try:
        from bench.commands import app
    except ImportError as error:
        if error.name not in ("psutil", "slixmpp"):
            raise
        typer.echo(f"{error.name} is missing: pip install 'causeway[bench]'", err=True)
        raise typer.Exit(1) from None
    app(context.args, prog_name="causeway bench")
