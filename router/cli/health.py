"""`causeway health`: whether the running router is ready for traffic."""

import http

import typer

from router.cli.admin import NotRunning, get
from router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    load_or_exit,
    print_json,
)


def health(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Exit code 0 when the router is ready, 1 when it is not or does not run."""
    loaded = load_or_exit(config, as_json=as_json, create_secret=False)
    try:
        status, body = get(loaded.processes.run_dir, "/ready")
    except NotRunning as error:
        ready, reasons = False, [str(error)]
    else:
        ready = status == http.HTTPStatus.OK
        reasons = [] if ready else body.decode().splitlines()
    if as_json:
        print_json({"ready": ready, "reasons": reasons})
    else:
        typer.echo("ready" if ready else "not ready: " + "; ".join(reasons), err=not ready)
    raise typer.Exit(0 if ready else 1)
