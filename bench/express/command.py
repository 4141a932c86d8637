"""`causeway bench express`: its options, its progress, its tables; exit 1 when the bound breaks."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.table import Table as RichTable

from bench import subjects
from bench.express import tables
from bench.express.measure import Settings, as_results, measure, plan
from bench.express.ways import LIMITS, WAYS
from bench.progress import Steps
from bench.remote import STANZA_BYTES
from bench.report.model import Table
from bench.report.verb import Html, Json, Out, finish

Name = TypeVar("Name", bound=str)


def express_command(
    ways: Annotated[str, typer.Option(help="Of these, separated by commas.")] = ",".join(WAYS),
    limits: Annotated[
        str, typer.Option(help="Prosody's rates: default, as it comes; none.")
    ] = ",".join(LIMITS),
    seconds: Annotated[
        float, typer.Option(min=0.1, help="About how long each measurement takes.")
    ] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; ways take turns in each.")] = 3,
    size: Annotated[int, typer.Option(min=100, help="Octets of a message.")] = STANZA_BYTES,
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Messages per second through an express lane, and through two Prosodys that throttle.

    What cannot be measured is left out, and said. Exit 1 then, or when a lane over SOCKS5 does not
    carry five times what the throttled way does.
    """
    if reason := subjects.installed("prosody"):
        raise typer.BadParameter(f"{reason}; nothing can be measured without it")
    settings = Settings(
        ways=_chosen(WAYS, ways, "--ways"),
        limits=_chosen(LIMITS, limits, "--limits"),
        rounds=rounds,
        seconds=seconds,
        size_bytes=size,
    )
    errors = Console(stderr=True)
    with Steps("express", len(plan(settings)), errors, still=True) as steps:
        results = as_results(uvloop.run(measure(settings, steps)))
    asked = asdict(settings)
    document: dict[str, Any] = json.loads(json.dumps({"settings": asked, "results": results}))
    if not finish("express", asked, results, out, html, as_json, errors, ["prosody"]):
        _show(document, Console())
    is_whole = not results["left_out"] and tables.is_held(document) is not False
    raise typer.Exit(0 if is_whole else 1)


def _show(document: dict[str, Any], console: Console) -> None:
    console.print(_rich("Messages per second and CPU per message", tables.figures(document)))
    missing = tables.left_out(document)
    if missing.rows:
        console.print(_rich("Left out", missing))
    console.print(tables.verdict(document))


def _rich(title: str, table: Table) -> RichTable:
    shown = RichTable(title=title, pad_edge=False)
    for column in table.columns:
        is_word = column in ("Limits", "Way", "Reason")
        shown.add_column(
            column, justify="left" if is_word else "right", no_wrap=column in ("Limits", "Way")
        )
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _chosen(known: Sequence[Name], text: str, option: str) -> tuple[Name, ...]:
    words = {word.strip() for word in text.split(",")}
    if not words <= set(known):
        raise typer.BadParameter(f"any of {', '.join(known)}", param_hint=option)
    return tuple(name for name in known if name in words)
