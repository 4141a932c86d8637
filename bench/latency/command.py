"""`causeway bench latency`: its options, its progress, its tables."""

from dataclasses import asdict
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table as RichTable

from bench import subjects
from bench.latency import measure, summary, tables
from bench.latency.schedule import SPACINGS, Spacing
from bench.progress import Steps
from bench.report.model import Table
from bench.report.verb import Html, Json, Out, finish


def latency_command(
    against: Annotated[
        str,
        typer.Option(help="Also prosody, ejabberd, haproxy, causeway-pinned."),
    ] = "",
    mode: Annotated[
        str, typer.Option(help="in, out (one way), echo (there and back).")
    ] = "in,out,echo",
    rates: Annotated[str, typer.Option(help="Stanzas a second that are offered.")] = (
        "100,500,1000,2000,5000,10000"
    ),
    to_saturation: Annotated[
        bool, typer.Option("--to-saturation", help="Find it; measure at half of it.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long each rate is offered.")] = 3,
    rounds: Annotated[int, typer.Option(help="Rounds, in each all subjects.")] = 3,
    lone: Annotated[int, typer.Option(help="Stanzas one at a time, in each round.")] = 500,
    pause_ms: Annotated[float, typer.Option(help="Between two lone stanzas.")] = 10,
    spacing: Annotated[str, typer.Option(help="poisson or even.")] = "poisson",
    acceptors: Annotated[int, typer.Option(help="Acceptor processes of the node.")] = 1,
    workers: Annotated[int, typer.Option(help="Worker processes of the node.")] = 1,
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """How long a stanza is under way: alone, at fixed rates, up to saturation."""
    others = _words(against)
    plan = measure.Plan(
        subjects=("causeway", *others, measure.FLOOR),
        modes=_of(measure.MODES, mode, "--mode"),
        rates_per_s=tuple(_number(word) for word in _words(rates)),
        seconds=seconds,
        rounds=rounds,
        lone=lone,
        pause_s=pause_ms / 1000,
        spacing=_spacing(spacing),
        to_saturation=to_saturation,
        acceptors=acceptors,
        workers=workers,
    )
    for name in others:
        _check(name)
    with Steps("latency", plan.steps(), still=True) as steps:
        rows = measure.as_rows(uvloop.run(measure.measure(plan, steps.now, steps.done)))
    console = Console(stderr=as_json)
    if finish("latency", asdict(plan), rows, out, html, as_json, console, peers=others):
        return
    for each in summary.modes(rows):
        _show(f"Milliseconds, {each}: medians of {rounds}", tables.latencies(rows, each), console)
    _show("Saturation, stanzas a second", tables.edges(rows), console)
    _show("Targets", tables.held(rows), console)


def _show(title: str, table: Table | None, console: Console) -> None:
    if table is None:
        return
    shown = RichTable(title=title)
    for number, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if number > 1 else "left")
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _of(known: tuple[str, ...], text: str, option: str) -> tuple[str, ...]:
    words = _words(text)
    if not words or not set(words) <= set(known):
        raise typer.BadParameter(f"{text!r}: any of {', '.join(known)}", param_hint=option)
    return words


def _number(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise typer.BadParameter(f"{word!r} is no rate", param_hint="--rates")
    return number


def _spacing(word: str) -> Spacing:
    for spacing in SPACINGS:
        if word == spacing:
            return spacing
    raise typer.BadParameter(f"one of {', '.join(SPACINGS)}", param_hint="--spacing")


def _check(name: str) -> None:
    try:
        reason = subjects.installed(name)
    except ValueError as error:
        reason = str(error)
    if reason:
        raise typer.BadParameter(reason, param_hint="--against")
