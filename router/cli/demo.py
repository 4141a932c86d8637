"""`causeway demo`: a router between two servers on this machine, and what went over it."""

from typing import Annotated

import typer

EXIT_NOT_INSTALLED = 1


def demo(
    messages: Annotated[
        int, typer.Option(min=1, max=100_000, help="Messages, and pings, each way.")
    ] = 1000,
) -> None:
    """Federate with a real Prosody, or a second Causeway, on loopback; under a minute.

    Exit code 1: a stanza is missing, or a server did not start.
    """
    try:
        from bench.demo import run
    except ModuleNotFoundError as error:
        if error.name != "slixmpp":
            raise
        typer.echo("the demo needs slixmpp: pip install 'causeway[bench]'", err=True)
        raise typer.Exit(EXIT_NOT_INSTALLED) from None
    from rich.console import Console

    from bench.demo_screen import Screen

    raise typer.Exit(run(messages, Screen(Console())))
