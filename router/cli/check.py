"""`causeway check`: is the configuration sound, and how does a remote domain look from here?

No router need run. The parts are in `check_*`; here is the command and what it prints.
"""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from router.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    load_or_exit,
    print_json,
)
from router.config import Config
from router.config_certificates import certificate_of

DomainArgument = Annotated[
    str | None, typer.Argument(metavar="DOMAIN", help="A remote domain, or one behind us.")
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="LOCAL", help="The hosted domain to look from; the first one."),
]


def check(
    domain: DomainArgument = None,
    config: ConfigOption = DEFAULT_CONFIG,
    local: FromOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the configuration, the certificates and the ports; with DOMAIN, how it looks from here.

    Exit code 2: the configuration is wrong, and every mistake is printed. 1: the router would
    not start, or with a certificate that peers will not take; with DOMAIN, no stream can be opened.
    """
    loaded = load_or_exit(config, as_json=as_json, create_secret=False)
    if domain is not None:
        is_good = _check_domain(loaded, domain, local, as_json=as_json)
    elif local is not None:
        raise typer.BadParameter("goes with DOMAIN", param_hint="--from")
    else:
        is_good = _check_config(config, loaded, as_json=as_json)
    if not is_good:
        raise typer.Exit(1)


# --- a remote domain -----------------------------------------------------------------------------


def _check_domain(config: Config, domain: str, local: str | None, *, as_json: bool) -> bool:
    import uvloop

    from router.acceptor.certificates.verdict import TrustAnchorError
    from router.cli.check_domain import examined
    from router.cli.check_report import lines
    from router.xmpp.pair import DomainPair

    target = _name(domain, "DOMAIN")
    is_behind_us = target in config.servers
    sender = _STRANGER if is_behind_us else _names(config)[0]
    pair = DomainPair(_name(local, "--from") if local else sender, target)
    if not is_behind_us and pair.sender not in config.hosts:
        raise typer.BadParameter(f"{pair.sender} is not hosted here", param_hint="--from")
    if not is_behind_us and pair.target in config.hosts:
        raise typer.BadParameter(f"{pair.target} is hosted here", param_hint="DOMAIN")
    try:
        report = uvloop.run(examined(config, pair))
    except TrustAnchorError as error:
        typer.echo(f"tls.trust_anchors: {error}", err=True)
        return False
    has_own = pair.sender in config.hosts and certificate_of(config.tls, pair.sender)
    own = _own_certificate(config, pair.sender) if has_own else None
    if as_json:
        print_json({**report, "own_certificate": own})
    else:
        for line in lines(report, own):
            typer.echo(line)
    return bool(report["ok"])


def _names(config: Config) -> list[str]:
    """The hosted domains but for those that stand for all below another."""
    return [name for name in config.hosted if not name.startswith("*")]


def _name(text: str, hint: str) -> str:
    from router.xmpp import jid

    try:
        return jid.domain(text)
    except jid.JidError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from None


_STRANGER: Final = "stranger.invalid"
"""In whose name a server behind the router is looked at: to it we are everybody else."""

_READERS: Final = {
    "compiled": "compiled",
    "pure": "pure Python (with a C compiler and Python's headers at hand, pip builds a faster one)",
}


# --- the configuration ---------------------------------------------------------------------------


def _check_config(file: Path, config: Config, *, as_json: bool) -> bool:
    from router.acceptor.certificates.store import CertificateStore
    from router.budget import budget_bytes, too_much, words
    from router.cli.check_listeners import listeners
    from router.supervisor.memory_limit import memory_limit_bytes
    from router.xmpp.reader import IMPLEMENTATION

    domains = [_domain(config, name) for name in _names(config)]
    ports = listeners(config)
    store = CertificateStore(config.tls.certificates, config.hosted)
    problems = [_problem(file, "tls.certificates", message) for message in store.problems()]
    problems += [
        _problem(file, "tls.certificates", f"{each['domain']}: {_expiry(each)}")
        for each in domains
        if each["certificate"]["days_left"] < 0
    ]
    problems += [
        _problem(file, f"listen.{each['kind']}", each["reason"])
        for each in ports
        if each["state"] == "refused"
    ]
    if (limit := memory_limit_bytes()) is not None and (refusal := too_much(config, limit)):
        problems.append(_problem(file, "limits", refusal))
    if as_json:
        shown = {"ok": not problems, "problems": problems, "domains": domains, "listeners": ports}
        memory = {"budget_bytes": budget_bytes(config), "limit_bytes": limit}
        print_json({**shown, "reader": IMPLEMENTATION, "memory": memory})
    else:
        for problem in problems:
            typer.echo(": ".join(problem.values()), err=True)
        typer.echo(f"{file}: {'see above' if problems else 'ok'}")
        for domain in domains:
            typer.echo(_line(domain))
        for each in ports:
            if each["state"] == "held":
                typer.echo(f"  {each['kind']}: {each['address']} is held by the running router")
        typer.echo(f"  stanza reader: {_READERS[IMPLEMENTATION]}")
        typer.echo(f"  memory: {words(config)}")
        for needed, table in (
            (config.dialback.enabled, config.dialback),
            (bool(config.listen.inside), config.inside),
        ):
            if needed and not table.secret:
                typer.echo(f"{table.secret_file} will be created when the router starts")
    return not problems


def _problem(file: Path, key: str, message: str) -> dict[str, str]:
    return {"file": str(file), "key": key, "message": message}


def _domain(config: Config, name: str) -> dict[str, Any]:
    return {
        "domain": name,
        "attach": _attachment(config, name),
        "certificate": _own_certificate(config, name),
    }


def _attachment(config: Config, name: str) -> str:
    if name == config.service:
        return "router"
    domain = config.domains[name]
    return f"{domain.attach} at {domain.target}" if domain.target else domain.attach


def _own_certificate(config: Config, domain: str) -> dict[str, Any]:
    from cryptography.x509 import load_pem_x509_certificates

    from router.cli.check_certificate import described, expiry_warning

    files = certificate_of(config.tls, domain)
    assert files, "a configuration that loads has a certificate for each hosted domain"
    leaf = described(load_pem_x509_certificates(files[0].read_bytes())[0])
    return {"file": str(files[0]), **leaf, "warning": expiry_warning(leaf)}


def _expiry(domain: dict[str, Any]) -> str:
    return f"{domain['certificate']['file']} {domain['certificate']['warning']}"


def _line(domain: dict[str, Any]) -> str:
    from router.cli.check_certificate import purposes

    certificate = domain["certificate"]
    text = (
        f"  {domain['domain']}: {domain['attach']}, certificate until "
        f"{certificate['expires'][:10]} ({certificate['days_left']} days), "
        f"for {purposes(certificate)}"
    )
    if not certificate.get("client_auth", True):
        text += "; some peers will want dialback where we dial"
    if certificate["days_left"] >= 0 and certificate["warning"]:
        text += f"\n  {domain['domain']}: warning: {_expiry(domain)}"
    return text
