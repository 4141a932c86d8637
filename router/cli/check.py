"""`causeway check`: is the configuration sound, and what would it serve? No router need run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    load_or_exit,
    print_json,
)
from router.config import Config
from router.config_file import certificate_of


def check(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check the configuration and the certificates.

    Exit code 2: the configuration is wrong, and every mistake is printed. 1: the router would
    start, but with a certificate that peers will not take.
    """
    loaded = load_or_exit(config, as_json=as_json, create_secret=False)
    domains = [_domain(loaded, name) for name in loaded.hosted]
    problems = _certificate_problems(loaded, domains)
    if as_json:
        shown = [_problem(config, message) for message in problems]
        print_json({"ok": not problems, "problems": shown, "domains": domains})
    else:
        for message in problems:
            typer.echo(f"{config}: tls.certificates: {message}", err=True)
        _print_summary(config, loaded, domains, problems)
    if problems:
        raise typer.Exit(1)


def _print_summary(
    file: Path, loaded: Config, domains: list[dict[str, Any]], problems: list[str]
) -> None:
    typer.echo(f"{file}: {'see above' if problems else 'ok'}")
    for domain in domains:
        typer.echo(_line(domain))
    if loaded.dialback.enabled and not loaded.dialback.secret:
        typer.echo(f"{loaded.dialback.secret_file} will be created when the router starts")


def _domain(config: Config, name: str) -> dict[str, Any]:
    files = certificate_of(config.tls, name)
    assert files, "a configuration that loads has a certificate for each hosted domain"
    attach = config.domains[name].attach
    return {"domain": name, "attach": attach, "certificate": _certificate(files[0])}


def _certificate_problems(config: Config, domains: list[dict[str, Any]]) -> list[str]:
    from router.acceptor.certificates import CertificateStore

    expired = [
        f"{each['domain']}: {each['certificate']['file']} has expired"
        for each in domains
        if each["certificate"]["days_left"] < 0
    ]
    return CertificateStore(config.tls.certificates, config.hosted).problems() + expired


def _problem(file: Path, message: str) -> dict[str, str]:
    return {"file": str(file), "key": "tls.certificates", "message": message}


def _certificate(path: Path) -> dict[str, Any]:
    from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound, load_pem_x509_certificates
    from cryptography.x509.oid import ExtendedKeyUsageOID

    leaf = load_pem_x509_certificates(path.read_bytes())[0]
    try:
        usage = leaf.extensions.get_extension_for_class(ExtendedKeyUsage).value
        for_client = ExtendedKeyUsageOID.CLIENT_AUTH in usage
        for_server = ExtendedKeyUsageOID.SERVER_AUTH in usage
    except ExtensionNotFound:
        for_client = for_server = True  # RFC 5280 §4.2.1.12: without the extension, any use
    left = leaf.not_valid_after_utc - datetime.now(UTC)
    return {
        "file": str(path),
        "expires": leaf.not_valid_after_utc.isoformat(),
        "days_left": left.days,
        "server_auth": for_server,
        "client_auth": for_client,
    }


def _line(domain: dict[str, Any]) -> str:
    certificate = domain["certificate"]
    uses = [name for name in ("server", "client") if certificate[f"{name}_auth"]]
    text = (
        f"  {domain['domain']}: {domain['attach']}, certificate until "
        f"{certificate['expires'][:10]} ({certificate['days_left']} days), "
        f"for {' and '.join(uses) or 'neither server nor client'}"
    )
    if not certificate["client_auth"]:
        text += "; some peers will want dialback where we dial"
    return text
