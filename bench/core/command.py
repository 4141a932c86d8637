"""The command of `bench core`. Called by `bench.commands`."""

from dataclasses import asdict
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from bench.core import alone, profile, tables
from bench.core.readers import readers
from bench.progress import Steps
from bench.report.verb import Html, Json, Out, finish


def core_command(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of everything, interleaved.")] = 7,
    sizes: Annotated[str, typer.Option(help="Octets of a stanza, with commas between.")] = (
        ",".join(map(str, profile.SIZES_BYTES))
    ),
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """What each stage of a stanza costs, without sockets: parts alone, and the whole way."""
    try:
        sizes_bytes = tuple(int(size) for size in sizes.split(","))
        for size_bytes in sizes_bytes:
            profile.message(size_bytes)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--sizes") from None
    found = readers()
    with Steps("core", 2 * rounds) as steps:
        parts = alone.measure(found, rounds=rounds, say=steps.next)

        async def whole_way() -> list[profile.Profile]:
            return profile.measure(found, sizes_bytes=sizes_bytes, rounds=rounds, say=steps.next)

        profiles = uvloop.run(whole_way())
    settings = {"rounds": rounds, "sizes_bytes": list(sizes_bytes), "readers": list(found)}
    rows = [
        *({"part": asdict(part)} for part in parts),
        *({"profile": asdict(each)} for each in profiles),
    ]
    if not finish("core", settings, rows, out, html, as_json, steps.console):
        tables.show(parts, profiles, Console())
