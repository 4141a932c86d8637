"""An operator's TOML file and environment, read into a `Config`, or everything wrong with them.

Rules that join several keys or look at the disk stand here; types and ranges stand with the fields
in `router.config`. Called by the command line and, on reload, by the supervisor.
"""

import contextlib
import os
import secrets
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, get_args, get_origin

from router.config import ANY_PEER, Address, Config, Domain, Peer, default_run_dir
from router.config_certificates import check_certificates
from router.config_e2e import check_e2e, e2e_listeners
from router.config_gateway import check_gateway, check_secrets
from router.config_plain import Key, Refuse, decode, field_types, is_written_as_text, written

_PREFIX: Final = "CAUSEWAY__"
_MAX_RUN_DIR_BYTES: Final = 90  # of the 108 of sockaddr_un.sun_path; the rest is the socket's name


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One mistake: the file (or "environment") and the key it is in, and what to do about it."""

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.file, self.key, self.message)))


class ConfigErrors(Exception):
    """The configuration cannot be used; `problems` has every mistake found."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load(path: Path, environ: Mapping[str, str], *, create_secret: bool = True) -> Config:
    """The configuration of the file at `path` with the overrides `CAUSEWAY__SECTION__KEY`.

    Paths come out absolute, secret files read, `run_dir` filled in. A dialback secret file that is
    missing is created with mode 0600, but only if nothing is wrong and `create_secret` is true;
    else its secret comes out empty. Raises ConfigErrors with all mistakes at once.
    """
    problems: list[ConfigProblem] = []
    raw = _read_toml(path, problems)
    origins = _override(raw, environ, problems)

    def refuse(key: Key, message: str) -> None:
        origin = next(
            (origins[key[:n]] for n in range(len(key), 0, -1) if key[:n] in origins), None
        )
        if origin:
            problems.append(ConfigProblem("environment", origin, message))
        else:
            problems.append(ConfigProblem(str(path), written(key), message))

    _take_out_what_is_not_for_files(raw, refuse)
    _let_peers_inherit(raw)
    config = decode(Config, raw, (), refuse)
    assert isinstance(config, Config)
    config = _with_paths(config, path.absolute(), environ)
    _check_listeners(config, refuse)
    _check_limits(config, refuse)
    _check_domains(config, raw, refuse)
    _check_run_dir(config, refuse)
    check_certificates(config, refuse)
    config = _with_secrets(config, refuse)
    check_secrets(config, refuse)
    if not problems and create_secret:
        config = _with_new_secrets(config, refuse)
    if problems:
        raise ConfigErrors(problems)
    return config


def make_run_dir(path: Path) -> None:
    """Creates the directory with mode 0700 unless it is there. Raises ConfigErrors.

    One that is there must be ours alone: in /tmp, anybody may have put it there first.
    """
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        reason = _run_dir_fault(path)
    except OSError as error:
        reason = f"cannot be created: {error.strerror}"
    if reason:
        raise ConfigErrors([ConfigProblem(str(path), "processes.run_dir", reason)])


# --- file and environment ------------------------------------------------------------------------


def _read_toml(path: Path, problems: list[ConfigProblem]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8, at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        reason = f"is not TOML: {error}"
    # Without its file nothing else can be judged: each further complaint would be a false one.
    raise ConfigErrors([*problems, ConfigProblem(str(path), "", reason)])


def _override(
    raw: dict[str, Any], environ: Mapping[str, str], problems: list[ConfigProblem]
) -> dict[Key, str]:
    """Puts the environment's values into `raw`; returns which key came from which variable."""
    origins: dict[Key, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(_PREFIX):
            continue
        try:
            key, kind = _key_of(variable)
            value = _value_of(environ[variable], kind)
        except ValueError as error:
            problems.append(ConfigProblem("environment", variable, str(error)))
            continue
        table, path = raw, key[:0]
        for part in key[:-1]:
            path += (_spelling_in(table, part),)
            table = table.setdefault(path[-1], {})
            if not isinstance(table, dict):
                break
        else:
            table[key[-1]] = value
            origins[*path, key[-1]] = variable
    return origins


def _key_of(variable: str) -> tuple[Key, Any]:
    """The key a variable stands for, and its type. A domain has its dots, or "__" for each."""
    section, *names = variable.removeprefix(_PREFIX).lower().split("__")
    kind = field_types(Config).get(section)
    if kind is None or not names:
        raise ValueError("names no key of the configuration")
    *domain, name = names
    key: Key = (section, name)
    if get_origin(kind) is Mapping:
        kind = get_args(kind)[1]
        key = (section, ".".join(domain), name)
    elif domain:
        raise ValueError("names no key of the configuration")
    types = field_types(kind)
    if name not in types or not all(key):
        raise ValueError("names no key of the configuration")
    return key, types[name]


def _value_of(text: str, kind: Any) -> Any:
    if is_written_as_text(kind) and not text.startswith(('"', "'")):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    if parsed.keys() != {"value"}:
        raise ValueError('must be a TOML value, such as true, 3 or ["a", "b"]')
    return parsed["value"]


def _spelling_in(table: dict[str, Any], name: str) -> str:
    """The table's own key for a name that the environment could only give in one case."""
    return next((each for each in table if each.lower() == name), name)


def _take_out_what_is_not_for_files(raw: dict[str, Any], refuse: Refuse) -> None:
    in_file = "unknown key; the secret stands in the file secret_file"
    reasons = dict.fromkeys((("dialback", "secret"), ("inside", "secret")), in_file)
    for key, reason in reasons.items():
        table: Any = raw.get(key[0])
        if isinstance(table, dict) and table.pop(key[-1], None) is not None:
            refuse(key, reason)


def _let_peers_inherit(raw: dict[str, Any]) -> None:
    peers = raw.get("peers")
    shared = peers.get(ANY_PEER) if isinstance(peers, dict) else None
    if not isinstance(peers, dict) or not isinstance(shared, dict):
        return
    refused: set[str] = set()  # to be complained of once, where it stands
    decode(Peer, shared, (), lambda key, _: refused.add(key[0]))
    for name, own in peers.items():
        if isinstance(own, dict) and name != ANY_PEER:
            inherited = {key: value for key, value in shared.items() if key not in refused}
            peers[name] = {**inherited, **own}


def _with_paths(config: Config, file: Path, environ: Mapping[str, str]) -> Config:
    base, anchors, run_dir = file.parent, config.tls.trust_anchors, config.processes.run_dir
    inside, own = config.inside, config.inside.trust_anchors
    domains = {
        name: replace(each, secret_file=each.secret_file and base / each.secret_file)
        for name, each in config.domains.items()
    }
    return replace(
        config,
        processes=replace(
            config.processes,
            run_dir=default_run_dir(file, environ) if run_dir == Path() else base / run_dir,
        ),
        tls=replace(
            config.tls,
            certificates=base / config.tls.certificates,
            trust_anchors=anchors if anchors == "system" else str(base / anchors),
        ),
        inside=replace(
            inside,
            secret_file=base / inside.secret_file,
            trust_anchors=own if own in (None, "system") else str(base / own),
        ),
        dialback=replace(config.dialback, secret_file=base / config.dialback.secret_file),
        domains=domains,
    )


# --- rules that join keys ------------------------------------------------------------------------


def _listeners(config: Config) -> Iterator[tuple[Key, Address]]:
    for name in ("s2s", "s2s_direct_tls", "components", "inside"):
        for index, address in enumerate(getattr(config.listen, name)):
            yield ("listen", name, str(index)), address
    yield ("listen", "http"), config.listen.http
    yield from e2e_listeners(config)


def _check_listeners(config: Config, refuse: Refuse) -> None:
    seen: dict[Address, Key] = {}
    for key, address in _listeners(config):
        if address.port and seen.setdefault(address, key) != key:
            refuse(key, f"{address} is taken by {written(seen[address])} already")


def _check_limits(config: Config, refuse: Refuse) -> None:
    limits = config.limits
    if limits.max_preauth_total_bytes < limits.max_preauth_bytes:
        refuse(("limits", "max_preauth_total_bytes"), "must not be below max_preauth_bytes")
    pools = ("lane_window", "retention", "backlog", "output_buffer", "output_total")
    for name in (f"{pool}_bytes" for pool in pools):
        if getattr(limits, name) < limits.max_stanza_bytes:
            refuse(("limits", name), "must not be below max_stanza_bytes")
    if config.dns.min_ttl_s > config.dns.max_ttl_s:
        refuse(("dns", "min_ttl_s"), "must not be above max_ttl_s")


def _check_domains(config: Config, raw: Mapping[str, Any], refuse: Refuse) -> None:
    if not raw.get("domains"):
        refuse(("domains",), 'no domain is hosted; add a table [domains."NAME"]')
    for name, domain in config.domains.items():
        key = ("domains", name)
        if domain.attach == "component" and not (domain.secret or domain.secret_file):
            refuse((*key, "secret"), "secret or secret_file is missing")
        if domain.secret and domain.secret_file:
            refuse((*key, "secret_file"), "stands beside secret; one of the two is enough")
    check_e2e(config, refuse)
    check_gateway(config, raw, refuse)


# --- rules about the disk ------------------------------------------------------------------------


def _check_run_dir(config: Config, refuse: Refuse) -> None:
    path = config.processes.run_dir
    length = len(os.fsencode(path))
    if length > _MAX_RUN_DIR_BYTES:
        reason = f"{path} has {length} bytes; sockets need one of at most {_MAX_RUN_DIR_BYTES}"
        refuse(("processes", "run_dir"), reason)
    elif reason := _run_dir_fault(path):
        refuse(("processes", "run_dir"), f"{path} {reason}")


def _run_dir_fault(path: Path) -> str:
    """What makes an existing directory unfit; a missing one has no fault."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    if not stat.S_ISDIR(status.st_mode):
        return "is not a directory"
    if status.st_uid != os.getuid():
        return "belongs to another user"
    return "is open to other users; chmod 700 it" if status.st_mode & 0o077 else ""


def _with_secrets(config: Config, refuse: Refuse) -> Config:
    domains: dict[str, Domain] = {}
    for name, domain in config.domains.items():
        secret = domain.secret
        if domain.secret_file:
            secret = _secret_in(domain.secret_file, ("domains", name, "secret_file"), refuse)
        domains[name] = replace(domain, secret=secret)
    config = replace(config, domains=domains)
    for table in _dialback_tables(config):
        if os.path.lexists(getattr(config, table).secret_file):
            config = _with_secret(config, table, refuse)
    return config


def _dialback_tables(config: Config) -> list[str]:
    """The tables of the configuration that need a dialback secret."""
    is_needed = {"dialback": config.dialback.enabled, "inside": bool(config.listen.inside)}
    return [table for table, needed in is_needed.items() if needed]


def _with_secret(config: Config, name: str, refuse: Refuse) -> Config:
    table = getattr(config, name)
    secret = _secret_in(table.secret_file, (name, "secret_file"), refuse)
    return replace(config, **{name: replace(table, secret=secret)})


def _secret_in(path: Path, key: Key, refuse: Refuse) -> str:
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        refuse(key, f"{path} cannot be read: {reason}")
        return ""
    if not secret:
        refuse(key, f"{path} is empty")
    return secret


def _with_new_secrets(config: Config, refuse: Refuse) -> Config:
    for table in _dialback_tables(config):
        if not getattr(config, table).secret:
            config = _with_new_secret(config, table, refuse)
    return config


def _with_new_secret(config: Config, table: str, refuse: Refuse) -> Config:
    path = getattr(config, table).secret_file
    try:
        with NamedTemporaryFile("w", dir=path.parent, prefix=path.name) as draft:
            draft.write(secrets.token_hex(32) + "\n")
            draft.flush()
            # A link never replaces: of two routers that start at once, both read the first one's.
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    except OSError as error:
        refuse((table, "secret_file"), f"{path} cannot be created: {error.strerror}")
        return config
    return _with_secret(config, table, refuse)
