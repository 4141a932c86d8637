"""The verbs of `causeway bench`: run a measurement, show it, keep it as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
import uvloop
from OpenSSL import SSL
from rich.console import Console
from rich.table import Table

from bench import core, hostile, hostile_tables, result, throughput
from bench.peers.fakes import serving
from bench.peers.fakes.profiles import PROFILES
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


@app.command(name="fake")
def fake_command(
    name: Annotated[str | None, typer.Argument(help="Which server; --list names them.")] = None,
    domain: Annotated[str | None, typer.Option(help="The domain it hosts.")] = None,
    also: Annotated[list[str], typer.Option(help="A further domain it hosts.")] = [],  # noqa: B006
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 is the system's choice.")] = (
        "127.0.0.1:0"
    ),
    certificate: Annotated[Path | None, typer.Option(help="PEM file, leaf first.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file; default: beside the other.")] = None,
    trust: Annotated[
        Path | None, typer.Option(help="PEM file of the CA that proves peers; default: nobody.")
    ] = None,
    peer: Annotated[list[str], typer.Option(help="DOMAIN=HOST:PORT of a peer.")] = [],  # noqa: B006
    send: Annotated[list[str], typer.Option(help="A stanza to send at once.")] = [],  # noqa: B006
    transcript: Annotated[bool, typer.Option(help="Print each element, in and out.")] = False,
    names: Annotated[bool, typer.Option("--list", help="Name the servers, a line each.")] = False,
) -> None:
    """Play another s2s server with its quirks, until Ctrl-C."""
    if names:
        for profile in PROFILES.values():
            typer.echo(f"{profile.name:15} {profile.about}")
        return
    if name not in PROFILES:
        raise typer.BadParameter(f"one of {', '.join(PROFILES)} is needed", param_hint="NAME")
    if domain is None or certificate is None:
        raise typer.BadParameter("--domain and --certificate are needed")
    try:
        where, peers = serving.address(listen), dict(map(serving.route, peer))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    key = key or certificate.with_suffix(".key")
    for file in filter(None, (certificate, key, trust)):
        if not file.is_file():
            raise typer.BadParameter(f"there is no file {file}")
    serve = serving.serve(
        name,
        domain,
        listen=where,
        certificate=certificate,
        key=key,
        trust_anchors=trust,
        also=also,
        peers=peers,
        send=send,
        transcript=transcript,
        say=typer.echo,
    )
    try:
        uvloop.run(serve)
    except (OSError, ValueError, SSL.Error) as error:
        is_file = not isinstance(error, OSError)
        reason = "a PEM file is not what it should be" if is_file else error
        typer.echo(f"cannot start: {reason}", err=True)
        raise typer.Exit(1) from None


@app.command(name="hostile")
def hostile_command(
    seconds: Annotated[float, typer.Option(help="How long the flood lasts.")] = 60,
    stanzas: Annotated[int, typer.Option(help="Ordinary stanzas a second, each way.")] = 2000,
    connections: Annotated[int, typer.Option(help="Hostile connections a minute.")] = 2000,
    acceptors: Annotated[int, typer.Option(help="Acceptor processes of the node.")] = 1,
    workers: Annotated[int, typer.Option(help="Worker processes of the node.")] = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """What hostile connections cost ordinary stanzas; exit 1 when one is lost or p99 too long."""
    found = uvloop.run(
        hostile.measure(
            seconds=seconds,
            stanzas_per_s=stanzas,
            connections_per_minute=connections,
            acceptors=acceptors,
            workers=workers,
            say=Console(stderr=as_json).print,
        )
    )
    if not _given_as_json("hostile", hostile.as_row(found), out, as_json):
        hostile_tables.show(found, Console())
    raise typer.Exit(0 if found.is_good else 1)


def _given_as_json(name: str, rows: object, out: Path | None, as_json: bool) -> bool:
    """Write the result file if one is wanted; True when JSON was printed and that is all."""
    whole = result.document(name, rows)
    if out is not None:
        result.write(out, whole)
    if as_json:
        typer.echo(json.dumps(whole, indent=1))
    return as_json
