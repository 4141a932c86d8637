"""`causeway bench idle`: its options, its progress, its tables."""

from dataclasses import asdict
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console
from rich.table import Table as RichTable

from bench import subjects
from bench.idle import tables
from bench.idle.caller import AUTHS, Auth
from bench.idle.measure import AT_ONCE, Settings, measure, missing_files
from bench.peers.daemon import DaemonError
from bench.progress import Steps
from bench.report.model import Table
from bench.report.verb import Html, Json, Out, finish

_STOPS: Final = (0.2, 0.5, 1.0)
_MOST_IN_SEQUENCE: Final = 500


def idle_command(
    against: Annotated[str, typer.Option(help="Also prosody, ejabberd; separated by commas.")] = "",
    streams: Annotated[int, typer.Option(min=10, help="Each from a domain of its own.")] = 5000,
    auth: Annotated[
        str, typer.Option(help="external, dialback; separated by commas.")
    ] = "external",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; servers take turns in each.")] = 3,
    seconds: Annotated[float, typer.Option(help="How long the idle server is watched.")] = 10,
    bidi: Annotated[bool, typer.Option(help="Ask for XEP-0288 where it is offered.")] = True,
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Memory and CPU of idle streams, and what setting them up and closing them costs."""
    names = ("causeway", *_words(against))
    for name in names:
        _check(name)
    proofs = _proofs(auth)
    for proof in proofs:
        if (more := missing_files(streams, proof)) > 0:
            raise typer.BadParameter(
                f"{more} more open files are needed than this process may have (ulimit -n)",
                param_hint="--streams",
            )
    settings = Settings(
        stops=tuple(round(streams * part) for part in _STOPS),
        in_sequence=min(_MOST_IN_SEQUENCE, streams // 10),
        seconds=seconds,
        bidi=bidi,
    )
    errors = Console(stderr=True)
    try:
        rows = _measured(names, proofs, rounds, settings, errors)
    except (ConnectionError, DaemonError, TimeoutError) as failure:
        errors.print(f"cut short: {failure}", markup=False)
        raise typer.Exit(1) from None
    asked = asdict(settings) | {
        "against": names[1:],
        "streams": streams,
        "auth": proofs,
        "rounds": rounds,
        "at_once": AT_ONCE,
    }
    if finish("idle", asked, rows, out, html, as_json, errors, names[1:]):
        return
    document = {"settings": asked, "results": rows}
    console = Console()
    console.print(_rich("Setting up and closing a stream", tables.set_up(document)))
    console.print(_rich(f"Holding one of {streams:,} idle streams", tables.holding(document)))
    console.print(_rich("Targets", tables.targets(document)))


def _measured(
    names: tuple[str, ...],
    proofs: tuple[Auth, ...],
    rounds: int,
    settings: Settings,
    errors: Console,
) -> list[tables.Row]:
    """In each round every server gets every proof, beginning with another server each time."""
    rows = []
    with Steps("idle", rounds * len(names) * len(proofs), errors) as steps:
        for number in range(rounds):
            first = number % len(names)
            for proof in proofs:
                for name in (*names[first:], *names[:first]):
                    found = uvloop.run(measure(name, proof, settings, steps.now))
                    rows.append({"round": number, **asdict(found)})
                    steps.done()
    return rows


def _proofs(text: str) -> tuple[Auth, ...]:
    words = _words(text)
    proofs = tuple(proof for proof in AUTHS if proof in words)
    if not proofs or not set(words) <= set(AUTHS):
        raise typer.BadParameter(f"any of {', '.join(AUTHS)}", param_hint="--auth")
    return proofs


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _check(name: str) -> None:
    try:
        reason = subjects.installed(name)
    except ValueError as error:
        reason = str(error)
    if reason:
        raise typer.BadParameter(reason, param_hint="--against")


def _rich(title: str, table: Table) -> RichTable:
    shown = RichTable(title=title)
    for number, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if number > 1 else "left")
    for row in table.rows:
        shown.add_row(*row)
    return shown
