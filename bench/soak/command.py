"""`causeway bench soak`: its options, its progress, its table; exit 1 when a stanza is lost."""

from dataclasses import asdict
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table as RichTable

from bench.progress import Steps
from bench.report.verb import Html, Json, Out, finish
from bench.soak import measure, page


def soak_command(
    seconds: Annotated[float, typer.Option(help="How long stanzas are sent.")] = 60,
    rate: Annotated[int, typer.Option(help="Stanzas a second in all, both ways.")] = 2000,
    remotes: Annotated[int, typer.Option(help="Remote domains.")] = 4,
    components: Annotated[int, typer.Option(help="Hosted domains, a component each.")] = 2,
    close_every: Annotated[
        float, typer.Option(help="Seconds between streams that close and come back; 0: none.")
    ] = 2,
    reattach_every: Annotated[
        float, typer.Option(help="Seconds between components that attach anew; 0: none.")
    ] = 10,
    acceptors: Annotated[int, typer.Option(help="Acceptor processes of the node.")] = 1,
    workers: Annotated[int, typer.Option(help="Worker processes of the node.")] = 1,
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Mixed traffic with every stanza accounted for; exit 1 when one is lost or out of order."""
    plan = measure.Plan(
        seconds=seconds,
        per_s=rate,
        remotes=remotes,
        components=components,
        close_every_s=close_every,
        reattach_every_s=reattach_every,
        sample_s=min(5.0, max(0.5, seconds / 60)),
        acceptors=acceptors,
        workers=workers,
    )
    total = int(seconds / plan.sample_s) + 1
    with Steps("soak", total) as steps:
        result = uvloop.run(measure.measure(plan, steps.next))
    row = measure.as_row(result)
    console = Console(stderr=as_json)
    if not finish("soak", asdict(plan), row, out, html, as_json, console):
        table = page.account(row)
        shown = RichTable(title=f"{seconds:g} s of mixed traffic")
        for number, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if number else "left")
        for line in table.rows:
            shown.add_row(*line)
        console.print(shown)
        console.print(page.verdict(row))
    raise typer.Exit(0 if result.is_good else 1)
