"""The verbs of `causeway bench`: run a measurement, show it, keep it as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench import core, result, throughput
from bench.remote import STANZA_BYTES

app = typer.Typer(no_args_is_help=True, help="Measure the program on this machine.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write the result as JSON to this file.")]


@app.command(name="core")
def core_command(out: Out = None, as_json: Json = False) -> None:
    """What each stage of a stanza costs alone, without sockets."""
    stages = core.measure()
    if _given_as_json("core", [asdict(stage) for stage in stages], out, as_json):
        return
    table = Table(title=f"CPU per {STANZA_BYTES}-octet chat message, one process")
    for column in ("Stage", "µs", "Stanzas a call", "What"):
        table.add_column(column, justify="right" if column == "µs" else "left")
    for stage in stages:
        table.add_row(stage.name, f"{stage.cpu_us:.2f}", str(stage.stanzas_per_call), stage.what)
    Console().print(table)


@app.command(name="throughput")
def throughput_command(
    stanzas: Annotated[int, typer.Option(help="Stanzas per mode and round.")] = 200_000,
    rounds: Annotated[int, typer.Option(help="Rounds; modes are interleaved.")] = 3,
    acceptors: Annotated[int, typer.Option(help="Acceptor processes of the node.")] = 1,
    workers: Annotated[int, typer.Option(help="Worker processes of the node.")] = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Stanzas per second and CPU per stanza through a whole node, over TLS."""
    console = Console(stderr=as_json)
    results = uvloop.run(
        throughput.measure(
            stanzas=stanzas,
            modes=throughput.MODES,
            rounds=rounds,
            acceptors=acceptors,
            workers=workers,
            say=console.print,
        )
    )
    if _given_as_json("throughput", throughput.as_rows(results), out, as_json):
        return
    table = Table(title=f"{STANZA_BYTES}-octet chat messages, medians of {rounds}")
    for column in ("Mode", "CPU µs/stanza", "Stanzas/s", "Busiest process", "Generator"):
        table.add_column(column, justify="left" if column == "Mode" else "right")
    for mode in throughput.MODES:
        of_mode = [each for each in results if each.mode == mode]
        table.add_row(
            mode,
            f"{median(each.cpu_us for each in of_mode):.2f}",
            f"{median(each.per_second for each in of_mode):,.0f}",
            f"{median(max(each.cpu_us_by_process.values()) for each in of_mode):.2f} µs",
            f"{median(each.generator_core_share for each in of_mode):.0%} of a core",
        )
    console.print(table)


def _given_as_json(name: str, rows: object, out: Path | None, as_json: bool) -> bool:
    """Write the result file if one is wanted; True when JSON was printed and that is all."""
    whole = result.document(name, rows)
    if out is not None:
        result.write(out, whole)
    if as_json:
        typer.echo(json.dumps(whole, indent=1))
    return as_json
