"""`causeway bench throughput`: its options, and its result on the terminal."""

import json
from enum import StrEnum
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench import subjects
from bench.peers.daemon import DaemonError
from bench.progress import Steps
from bench.remote import CHUNK_BYTES, STANZA_BYTES, chat
from bench.report import model
from bench.report.verb import Html, Json, Out, finish
from bench.throughput import tables
from bench.throughput.cells import MODES, Cell, cells
from bench.throughput.ends import hosted_name, remote_name
from bench.throughput.measure import Settings, as_rows, measure, plan
from bench.throughput.relays import NAMES as RELAYS
from router.xmpp import reader

PEERS: Final = ("prosody", "ejabberd", *RELAYS)
SHOWN_OCTETS: Final = 400


class Readers(StrEnum):
    """Which of the two readers the router under test uses."""

    COMPILED = "compiled"
    PURE = "pure"
    BOTH = "both"


def throughput_command(
    against: Annotated[
        str, typer.Option(help=f"Also {', '.join(PEERS)}; separated by commas.")
    ] = "",
    mode: Annotated[
        str, typer.Option(help="in, out, echo, gateway; in-8 is from 8 remote domains.")
    ] = ",".join(MODES),
    sizes: Annotated[str, typer.Option(help="Octets of a stanza; from the first on.")] = (
        str(STANZA_BYTES)
    ),
    pairs: Annotated[str, typer.Option(help="Domain pairs, a remote domain each.")] = "1",
    seconds: Annotated[float, typer.Option(help="About how long each measurement takes.")] = 2.5,
    stanzas: Annotated[int, typer.Option(help="Exactly so many instead; 0: by the time.")] = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; servers take turns in each.")] = 3,
    acceptors: Annotated[str, typer.Option(help="Acceptor processes of this router.")] = "1",
    workers: Annotated[int, typer.Option(help="Worker processes of this router.")] = 1,
    components: Annotated[
        int, typer.Option(min=1, help="Hosted domains that the pairs are spread over.")
    ] = 1,
    burst_bytes: Annotated[
        int,
        typer.Option(
            min=1, help="Octets of one pair before the next one's turn; fewer when pairs are many."
        ),
    ] = CHUNK_BYTES,
    reader_in_use: Annotated[
        Readers | None, typer.Option("--reader", help="Default: what a node uses here.")
    ] = None,
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """CPU per stanza and stanzas per second through a whole node, over TLS, beside others.

    Of sizes, pairs and acceptors the first of each list is measured in every mode, each further
    one with the first of the others.
    """
    peers = _words(against)
    for name in peers:
        _check(name)
    try:
        wanted = cells(_words(mode), _numbers(sizes), _numbers(pairs), _numbers(acceptors))
        sent = {str(cell.size_bytes): _sent(cell) for cell in wanted}
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    settings = Settings(
        subjects=(*_ours(reader_in_use), *peers),
        cells=tuple(wanted),
        rounds=rounds,
        seconds=seconds,
        stanzas=stanzas,
        workers=workers,
        components=components,
        burst_bytes=burst_bytes,
    )
    asked = {
        "against": peers,
        "modes": _words(mode),
        "sizes": _numbers(sizes),
        "pairs": _numbers(pairs),
        "acceptors": _numbers(acceptors),
        "sent": sent,
        **{
            name: getattr(settings, name)
            for name in ("rounds", "seconds", "stanzas", "workers", "components", "burst_bytes")
        },
    }
    errors = Console(stderr=True)
    try:
        with Steps("throughput", len(plan(settings)), errors, still=True) as steps:
            samples = uvloop.run(measure(settings, steps))
    except (ConnectionError, DaemonError) as failure:
        errors.print(f"cut short: {failure}", markup=False)
        raise typer.Exit(1) from None
    rows = as_rows(samples)
    versions = dict.fromkeys(name.removesuffix("-terminate") for name in peers)
    if finish("throughput", asked, rows, out, html, as_json, errors, versions):
        return
    _show({"settings": asked, "results": json.loads(json.dumps(rows))}, Console())


def _show(document: model.Document, console: Console) -> None:
    of_targets = tables.target_table(document)
    console.print(_rich("CPU per stanza and stanzas per second, medians", tables.figures(document)))
    if tables.withheld(document):
        console.print(tables.WITHHELD)
    if of_targets.rows:
        console.print(_rich("Targets, ratios within a round", of_targets))


def _rich(title: str, table: model.Table) -> Table:
    shown = Table(title=title)
    for column in table.columns:
        is_word = column in ("Mode", "Server", "Target", "Held?")
        is_short = column in ("Mode", "Server", "Held?")
        shown.add_column(column, justify="left" if is_word else "right", no_wrap=is_short)
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _ours(wanted: Readers | None) -> tuple[str, ...]:
    has_compiled = reader.IMPLEMENTATION == "compiled"
    if wanted in (Readers.COMPILED, Readers.BOTH) and not has_compiled:
        raise typer.BadParameter("the compiled reader is not built here", param_hint="--reader")
    if wanted is Readers.BOTH:
        return ("causeway", "causeway-pure")
    return ("causeway-pure",) if wanted is Readers.PURE or not has_compiled else ("causeway",)


def _sent(cell: Cell) -> str:
    """What travels, as far as it is worth reading. Raises ValueError for a size too small."""
    longest = chat(remote_name(cell.pairs - 1), hosted_name(cell.pairs - 1), cell.size_bytes)
    shown = longest[:SHOWN_OCTETS].decode()
    return shown if len(longest) <= SHOWN_OCTETS else f"{shown}…"


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    numbers = [int(word) for word in _words(text)]
    if not numbers or min(numbers) < 1:
        raise ValueError(f"{text!r} is no list of numbers from 1 on")
    return numbers


def _check(name: str) -> None:
    if name not in PEERS:
        hint = f"{name!r} is none of {', '.join(PEERS)}"
        raise typer.BadParameter(hint, param_hint="--against")
    if reason := subjects.installed(name.removesuffix("-terminate")):
        raise typer.BadParameter(reason, param_hint="--against")
