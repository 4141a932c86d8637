"""`causeway e2e`: sessions of end-to-end streams (XEP-0247), shown and opened."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from router.cli.admin import NotRunning, Refused, get_json, post_json
from router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    load_or_exit,
    print_json,
)
from router.cli.tables import print_table
from router.log import escape

e2e = typer.Typer(name="e2e", help="End-to-end streams: show their sessions, open one.")

COLUMNS: Final = (
    ("Peer", "peer"),
    ("Role", "role"),
    ("State", "state"),
    ("Transport", "transport"),
    ("Stream", "name"),
    ("Stream state", "stream_state"),
    ("TLS", "tls"),
    ("Pairs", "pairs"),
)


@e2e.command()
def show(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the sessions: with whom, who began them, over what, and the stream that stands on it."""
    rows = _asked(config, as_json, lambda run_dir: get_json(run_dir, "/api/e2e"))
    if as_json:
        print_json(rows)
    else:
        titles = {title: False for title, _ in COLUMNS}
        print_table(titles, map(_cells, rows), "no sessions")


@e2e.command("open")
def open_session(
    peer: Annotated[str, typer.Argument(metavar="JID", help="Whose session is to be opened.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Begin a session with JID, which is asked first what it supports; see `show` for the rest."""
    path = f"/api/e2e/open?{urlencode({'peer': peer})}"
    rows = _asked(config, as_json, lambda run_dir: post_json(run_dir, path))
    if as_json:
        print_json(rows)
    for row in rows if not as_json else ():
        typer.echo(escape(f"session {row['sid']} with {row['peer']} on {row['acceptor']}"))
    if not rows:
        typer.echo("nobody here has sessions: see [e2e] in the configuration", err=True)
        raise typer.Exit(1)


def _asked(config: Path, as_json: bool, ask: Callable[[Path], Any]) -> list[Mapping[str, Any]]:
    run_dir = load_or_exit(config, as_json=as_json, create_secret=False).processes.run_dir
    try:
        rows: list[Mapping[str, Any]] = ask(run_dir)
    except (NotRunning, Refused) as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    return rows


def _cells(row: Mapping[str, Any]) -> list[str]:
    stream = f"{row['acceptor']}/{row['stream']}" if row["stream"] is not None else "-"
    shown = {**row, "name": stream, "pairs": ", ".join(row["pairs"])}
    return [escape(str(shown[key] or "-")) for _, key in COLUMNS]
