"""`causeway streams`: the open streams of the running router."""

from collections.abc import Mapping
from typing import Any, Final

import typer

from router.cli.admin import NotRunning, get_json
from router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    load_or_exit,
    print_json,
)
from router.cli.tables import print_table
from router.log import escape

COLUMNS: Final = (
    ("Stream", "name"),
    ("Dir", "direction"),
    ("Local", "local"),
    ("Remote", "remote"),
    ("State", "state"),
    ("Auth", "auth"),
    ("Bidi", "bidi"),
    ("Pairs", "pairs"),
    ("TLS", "tls"),
    ("Address", "address"),
    ("In", "stanzas_in"),
    ("Out", "stanzas_out"),
    ("Age", "age_s"),
)
_NUMBERS: Final = frozenset({"pairs", "stanzas_in", "stanzas_out", "age_s"})


def streams(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the open streams: who opened them, for whom, how they were proved, what they carried."""
    loaded = load_or_exit(config, as_json=as_json, create_secret=False)
    try:
        rows = get_json(loaded.processes.run_dir, "/api/streams")
    except NotRunning as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    if as_json:
        print_json(rows)
    else:
        titles = {title: key in _NUMBERS for title, key in COLUMNS}
        print_table(titles, map(cells, rows), "no open streams")


def cells(row: Mapping[str, Any]) -> list[str]:
    """The row as it is shown, column by column; what a peer chose is made harmless."""
    row = {**row, "name": f"{row['acceptor']}/{row['number']}"}  # as `pairs` and `explain` say it
    return [escape(_cell(key, row.get(key))) for _, key in COLUMNS]


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return str(len(value))
    return f"{value:.0f} s" if key == "age_s" else str(value)
