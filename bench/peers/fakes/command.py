"""The command of `bench fake`: another s2s server with its quirks. Called by `bench.commands`."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop
from OpenSSL import SSL

from bench.peers.fakes import serving
from bench.peers.fakes.profiles import PROFILES


def fake_command(
    name: Annotated[str | None, typer.Argument(help="Which server; --list names them.")] = None,
    domain: Annotated[str | None, typer.Option(help="The domain it hosts.")] = None,
    also: Annotated[list[str], typer.Option(help="A further domain it hosts.")] = [],  # noqa: B006
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0 is the system's choice.")] = (
        "127.0.0.1:0"
    ),
    certificate: Annotated[Path | None, typer.Option(help="PEM file, leaf first.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file; default: beside the other.")] = None,
    trust: Annotated[
        Path | None, typer.Option(help="PEM file of the CA that proves peers; default: nobody.")
    ] = None,
    peer: Annotated[list[str], typer.Option(help="DOMAIN=HOST:PORT of a peer.")] = [],  # noqa: B006
    send: Annotated[list[str], typer.Option(help="A stanza to send at once.")] = [],  # noqa: B006
    transcript: Annotated[bool, typer.Option(help="Print each element, in and out.")] = False,
    names: Annotated[bool, typer.Option("--list", help="Name the servers, a line each.")] = False,
) -> None:
    """Play another s2s server with its quirks, until Ctrl-C."""
    if names:
        for profile in PROFILES.values():
            typer.echo(f"{profile.name:15} {profile.about}")
        return
    if name not in PROFILES:
        raise typer.BadParameter(f"one of {', '.join(PROFILES)} is needed", param_hint="NAME")
    if domain is None or certificate is None:
        raise typer.BadParameter("--domain and --certificate are needed")
    try:
        where, peers = serving.address(listen), dict(map(serving.route, peer))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    key = key or certificate.with_suffix(".key")
    for file in filter(None, (certificate, key, trust)):
        if not file.is_file():
            raise typer.BadParameter(f"there is no file {file}")
    serve = serving.serve(
        name,
        domain,
        listen=where,
        certificate=certificate,
        key=key,
        trust_anchors=trust,
        also=also,
        peers=peers,
        send=send,
        transcript=transcript,
        say=typer.echo,
    )
    try:
        uvloop.run(serve)
    except (OSError, ValueError, SSL.Error) as error:
        is_file = not isinstance(error, OSError)
        reason = "a PEM file is not what it should be" if is_file else error
        typer.echo(f"cannot start: {reason}", err=True)
        raise typer.Exit(1) from None
