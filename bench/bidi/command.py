"""`causeway bench bidi`: its options, its progress, its table."""

from dataclasses import asdict
from typing import Annotated, Final, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.table import Table as RichTable

from bench import subjects
from bench.bidi import tables
from bench.bidi.cell import AUTHS, BETWEEN, MIXES, cells
from bench.bidi.measure import measure
from bench.bidi.savings import comparisons
from bench.distance import ByKernel, ByRelay, Distance, enter_namespace, why_no_netem
from bench.progress import Steps
from bench.report.model import Table
from bench.report.verb import Html, Json, Out, finish

SERVERS: Final = ("causeway", "prosody")

Word = TypeVar("Word", bound=str)


def bidi_command(
    pairs: Annotated[
        str, typer.Option(help="How many domain pairs speak at once.")
    ] = "1,10,50,200",
    auth: Annotated[str, typer.Option(help="external, dialback.")] = ",".join(AUTHS),
    between: Annotated[str, typer.Option(help="Two servers, who dials first in front.")] = (
        ",".join(BETWEEN)
    ),
    rtt: Annotated[str, typer.Option(help="Simulated round trips, ms.")] = "0,50,200",
    mix: Annotated[str, typer.Option(help="request (each is answered), one-way.")] = ",".join(
        MIXES
    ),
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, in each all combinations.")] = 1,
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """What connection reuse saves: N pairs that speak for the first time, bidi off and on."""
    auths = _some(AUTHS, auth, "--auth")
    mixes = _some(MIXES, mix, "--mix")
    servers = _between(between)
    counts = _numbers(pairs, 1, "--pairs")
    rtts_ms = _numbers(rtt, 0, "--rtt")
    reason = why_no_netem()
    distance: Distance = ByRelay()
    if not reason and any(rtts_ms):
        enter_namespace()
        distance = ByKernel()
    wanted = cells(counts, auths, servers, rtts_ms, mixes)
    failures: list[str] = []
    with Steps("bidi", len(wanted) * rounds) as steps:

        def failed(why: str) -> None:
            failures.append(why)
            steps.say(f"no result: {why}")

        results = uvloop.run(measure(wanted, rounds, distance, steps.now, steps.done, failed))
    settings = {
        "pairs": list(counts),
        "auth": list(auths),
        "between": list(servers),
        "rtt_ms": list(rtts_ms),
        "mix": list(mixes),
        "rounds": rounds,
        "why_no_netem": reason,
        "failures": failures,
    }
    rows = [asdict(each) for each in results]
    console = Console(stderr=as_json)
    peers = sorted({name for two in servers for name in two.split("-")} - {"causeway"})
    if not finish("bidi", settings, rows, out, html, as_json, console, peers=peers):
        how = f"{distance.name}: {reason}" if reason else distance.name
        console.print(f"Bidi off → on, medians of {rounds} ({how})")
        for title, table in tables.savings(comparisons(rows)):
            _show(title, table, console)
    raise typer.Exit(1 if failures else 0)


def _show(title: str, table: Table, console: Console) -> None:
    shown = RichTable(title=title, title_justify="left")
    for column in table.columns:
        shown.add_column(column, justify="right")
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _some(known: tuple[Word, ...], text: str, option: str) -> tuple[Word, ...]:
    """Those of the known words that were asked for. Raises typer.BadParameter."""
    words = _words(text)
    if not words or not set(words) <= set(known):
        raise typer.BadParameter(f"{text!r}: any of {', '.join(known)}", param_hint=option)
    return tuple(word for word in known if word in words)


def _between(text: str) -> tuple[str, ...]:
    """Two servers each that speak XEP-0288 and are here. Raises typer.BadParameter."""
    words = _words(text)
    for word in words:
        two = word.split("-")
        if len(two) != 2 or not set(two) <= set(SERVERS):
            problem = f"{word!r}: two of {', '.join(SERVERS)}, joined by a hyphen"
            raise typer.BadParameter(problem, param_hint="--between")
        for reason in filter(None, map(subjects.installed, two)):
            raise typer.BadParameter(reason, param_hint="--between")
    return tuple(words)


def _numbers(text: str, least: int, option: str) -> tuple[int, ...]:
    words = _words(text)
    if not words or not all(word.isdecimal() and int(word) >= least for word in words):
        problem = f"{text!r}: whole numbers from {least}, with commas between"
        raise typer.BadParameter(problem, param_hint=option)
    return tuple(sorted(set(map(int, words))))
