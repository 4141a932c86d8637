"""The command of `bench hostile`. Called by `bench.commands`."""

from typing import Annotated

import typer
import uvloop
from rich.console import Console

from bench.hostile import measure, tables
from bench.progress import Steps
from bench.report.verb import Html, Json, Out, finish


def hostile_command(
    seconds: Annotated[float, typer.Option(help="How long the flood lasts.")] = 60,
    stanzas: Annotated[int, typer.Option(help="Ordinary stanzas a second, each way.")] = 2000,
    connections: Annotated[int, typer.Option(help="Hostile connections a minute.")] = 2000,
    acceptors: Annotated[int, typer.Option(help="Acceptor processes of the node.")] = 1,
    workers: Annotated[int, typer.Option(help="Worker processes of the node.")] = 1,
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """What hostile connections cost ordinary stanzas; exit 1 when one is lost or p99 too long."""
    settings = {
        "seconds": seconds,
        "stanzas_per_s": stanzas,
        "connections_per_minute": connections,
        "acceptors": acceptors,
        "workers": workers,
    }
    with Steps("hostile", measure.PARTS) as steps:
        found = uvloop.run(
            measure.measure(
                seconds=seconds,
                stanzas_per_s=stanzas,
                connections_per_minute=connections,
                acceptors=acceptors,
                workers=workers,
                say=steps.next,
            )
        )
    rows = [measure.as_row(found)]
    if not finish("hostile", settings, rows, out, html, as_json, steps.console):
        tables.show(found, Console())
    raise typer.Exit(0 if found.is_good else 1)
