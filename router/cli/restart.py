"""`causeway restart`: replaces every process of the running router, and nothing is lost."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from router.cli.admin import NotRunning, Refused, get_json, post_json
from router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    load_or_exit,
    print_json,
)

POLL_S: Final = 0.2
SUPERVISOR_LIMIT_S: Final = 30.0

SupervisorOption = Annotated[
    bool,
    typer.Option(
        "--supervisor",
        help="Replace the supervisor alone, by the program and the configuration as they are now.",
    ),
]


def restart(
    config: ConfigOption = DEFAULT_CONFIG,
    supervisor: SupervisorOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replace the acceptors and workers one after another, under load, and wait for it.

    Each replacement serves before the old process drains. Exit code 1 when one could not be
    replaced: it serves on.
    """
    run_dir = load_or_exit(config, as_json=as_json, create_secret=False).processes.run_dir
    try:
        progress = _supervisor(run_dir) if supervisor else _processes(run_dir, quiet=as_json)
    except (NotRunning, Refused) as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    if as_json:
        print_json(progress)
    elif supervisor:
        typer.echo("the supervisor is replaced")
    if progress["state"] == "failed":
        raise typer.Exit(1)


def _processes(run_dir: Path, *, quiet: bool) -> Mapping[str, Any]:
    progress = post_json(run_dir, "/api/restart")
    shown: dict[str, str] = {}
    while True:
        for step in progress["steps"]:
            if not quiet and step["state"] not in ("waiting", shown.get(step["process"])):
                shown[step["process"]] = step["state"]
                typer.echo(sentence(step))
        if progress["state"] != "running":
            return dict(progress)
        time.sleep(POLL_S)
        progress = get_json(run_dir, "/api/restart")


def _supervisor(run_dir: Path) -> Mapping[str, Any]:
    before = post_json(run_dir, "/api/restart?what=supervisor")
    deadline = time.monotonic() + SUPERVISOR_LIMIT_S
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        try:
            progress = get_json(run_dir, "/api/restart")
        except NotRunning:
            continue  # between the two
        if progress["supervising_since"] != before["supervising_since"]:
            return dict(progress)
    raise NotRunning(f"no new supervisor within {SUPERVISOR_LIMIT_S:.0f} s")


def sentence(step: Mapping[str, Any]) -> str:
    """How far one process is."""
    name, by = step["process"], step["replacement"]
    match step["state"]:
        case "starting":
            return f"{name}: its replacement starts"
        case "draining":
            return f"{name}: {by} serves; it drains"
        case "done":
            return f"{name}: replaced by {by} in {step['seconds']:.1f} s, {step['how']}"
    return f"{name}: not replaced: {step['how']}"
