"""`causeway close`: ends the streams of a domain pair in order."""

from urllib.parse import urlencode

import typer

from router.cli.admin import NotRunning, Refused, post_json
from router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    LocalArgument,
    RemoteArgument,
    load_or_exit,
    print_json,
)
from router.log import escape


def close(
    local: LocalArgument,
    remote: RemoteArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Close every stream between a LOCAL and a REMOTE domain; no stanza is lost by it.

    The streams end for all the domain pairs they carry. The next stanza opens a new one.
    """
    loaded = load_or_exit(config, as_json=as_json, create_secret=False)
    query = urlencode({"local": local, "remote": remote})
    try:
        rows = post_json(loaded.processes.run_dir, f"/api/close?{query}")
    except (NotRunning, Refused) as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    if as_json:
        print_json(rows)
        return
    for row in rows:
        opener = "us" if row["direction"] == "out" else "them"
        where = f"{row['acceptor']}/{row['number']}, opened by {opener}, {row['address']}"
        typer.echo(escape(f"closing stream {where}"))
    if not rows:
        typer.echo(f"no stream carries {escape(local)} and {escape(remote)}")
