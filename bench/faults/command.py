"""`causeway bench faults`: its options, its progress, its table; exit 1 when a bound is broken."""

import asyncio
import signal
import time
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from bench.faults import catalogue, overload, tables
from bench.faults.experiment import Experiment, Say, Settings
from bench.faults.verdict import Check, Outcome, all_pass, as_row
from bench.peers.daemon import DaemonError
from bench.progress import Steps
from bench.report.verb import Html, Json, Out, finish

ROUNDS = 3
SEEDS = 100
WIDTH = 160


def faults_command(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Experiments to run; none named: all.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Show the experiments and run none.")
    ] = False,
    rounds: Annotated[int, typer.Option(help="How often each is run.")] = ROUNDS,
    rate: Annotated[
        float | None, typer.Option(help="Stanzas a second; else 5,000, or what fits here.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="How long each trouble lasts, in place of its own time.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Of experiment 35, for each step.")] = SEEDS,
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Hurt a node under load on purpose; exit 1 when a bound is broken."""
    try:
        experiments = catalogue.chosen(numbers or [])
    except KeyError as error:
        raise typer.BadParameter(f"there is no experiment {error}") from None
    if list_only:
        tables.show_plan(experiments, _wide())
        return
    with Steps("faults", len(experiments) * rounds) as steps:
        per_s, why = (rate, "as asked") if rate else uvloop.run(overload.chosen_rate(steps.say))
        steps.say(f"R is {per_s:,.0f} stanzas/s: {why}")
        settings = Settings(per_s, seconds, seeds)
        outcomes = [
            run(each, settings, number + 1, steps.say, steps.next)
            for number in range(rounds)
            for each in experiments
        ]
    asked = {"per_s": per_s, "why": why, "seconds": seconds, "seeds": seeds, "rounds": rounds}
    rows = [as_row(outcome) for outcome in outcomes]
    if not finish("faults", asked, rows, out, html, as_json, steps.console):
        tables.show(outcomes, _wide())
    raise typer.Exit(0 if all_pass(outcomes) else 1)


def _wide() -> Console:
    """Where there is no terminal to fit into, the tables have the room they need."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def run(each: Experiment, settings: Settings, number: int, say: Say, begins: Say) -> Outcome:
    """One round of one experiment; what goes wrong in it, the node's end included, is a failure."""
    begins(f"{each.number}, round {number}: {each.title}")
    if (reason := each.cannot()) or each.run is None:
        return Outcome(each.number, each.title, number, 0.0, why=reason)
    began_s = time.monotonic()
    try:
        outcome = uvloop.run(_run(each, settings, number, say))
    except (DaemonError, OSError, TimeoutError, RuntimeError, ExceptionGroup) as error:
        words = " ".join(f"{type(error).__name__}: {_cause(error)}".split())[:400]
        took_s = round(time.monotonic() - began_s, 1)
        broken = Check("runs to its end", words, "yes", False)
        return Outcome(each.number, each.title, number, took_s, checks=(broken,))
    say(f"{each.number}: {outcome.verdict}")
    return outcome


async def _run(each: Experiment, settings: Settings, number: int, say: Say) -> Outcome:
    assert each.run is not None
    work = asyncio.ensure_future(each.run(settings, number, say))
    # Ended by SIGTERM, too, it leaves no process behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    return await work


def _cause(error: BaseException) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__} {error}"
