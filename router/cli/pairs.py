"""`causeway pairs`: the domain pairs the running router has something for."""

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
    ("Local", "local"),
    ("Remote", "remote"),
    ("Stream", "stream"),
    ("Streams", "streams"),
    ("Dialling", "dialling"),
    ("Waiting", "backlog_stanzas"),
    ("Bytes", "backlog_bytes"),
)
_NUMBERS: Final = frozenset({"streams", "backlog_stanzas", "backlog_bytes"})


def pairs(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the domain pairs with a stream, a dial or stanzas that wait for one."""
    loaded = load_or_exit(config, as_json=as_json, create_secret=False)
    try:
        rows = get_json(loaded.processes.run_dir, "/api/pairs")
    except NotRunning as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    rows.sort(key=lambda row: (row["local"], row["remote"]))
    if as_json:
        print_json(rows)
    else:
        titles = {title: key in _NUMBERS for title, key in COLUMNS}
        print_table(titles, map(cells, rows), "no pairs")


def cells(row: Mapping[str, Any]) -> list[str]:
    """The row as it is shown, column by column; what a peer chose is made harmless."""
    return [escape(_cell(key, row[key])) for _, key in COLUMNS]


def _cell(key: str, value: Any) -> str:
    if key == "streams":
        return str(len(value))
    if key == "dialling":
        return "yes" if value else "no"
    return "-" if value is None else str(value)
