"""A real ejabberd on loopback: its config file, its ports, its name server.

Owns a directory and one Erlang node without a name in it: no distribution, no epmd; several run
side by side. It has no static routes, so it asks a name server of its own.
Called by the interop tests and the benchmarks. Written for ejabberd 23.01, Debian 12's package.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from bench.peers.daemon import Daemon, free_port
from bench.peers.nameserver import Nameserver

HOST: Final = "127.0.0.1"
LIBRARIES: Final = Path("/usr/lib")
BIND_FAILURE: Final = "Failed to open socket"
READY_LINE: Final = "causeway: ejabberd serves"
ESTABLISHED: Final = re.compile(
    r"Accepted (inbound|outbound) s2s (\S+) authentication (\S+) -> (\S+) "
)
DIRECTIONS: Final = {"inbound": "Incoming", "outbound": "Outgoing"}
# Without a record ejabberd asks for the domain's address, and RFC 2782's "." it takes for a name.
# COMPAT ejabberd 23.01: it asks the machine's own name servers, off the machine, and holds a
# scheduler until they answer: after a lost datagram all of it stands still for 5 s. This address
# with a zone that cannot be is refused by the C library itself.
NOWHERE: Final = {"SRV": ["0 0 0 ::%nowhere."]}
# Nothing but the name server beside us.
INETRC: Final = """\
{{lookup, [dns]}}.
{{hosts_file, ""}}.
{{resolv_conf, ""}}.
clear_hosts.
clear_ns.
clear_search.
{{nameserver, {{127,0,0,1}}, {port}}}.
"""

StartTls = Literal["optional", "required"]


def installed() -> bool:
    """Whether this machine has ejabberd at all."""
    return library() is not None


def library() -> Path | None:
    """Where Erlang finds the package `ejabberd`: a directory with ejabberd-VERSION/ebin in it."""
    package = _package()
    return package.parent if package else None


def version() -> str:
    """Of the package, or "unknown" without one."""
    package = _package()
    return package.name.removeprefix("ejabberd-") if package else "unknown"


class Ejabberd(Daemon):
    """One ejabberd, from `async with` to its end; its ports are chosen at construction.

    The names of settings are `Prosody`'s where they fit. `certificates` holds NAME.crt and NAME.key
    of every domain; `trust_anchors` is a PEM file and replaces the public roots. `routes` maps a
    remote domain to the (address, port) that takes STARTTLS; every other remote domain does not
    exist, or with `inside` is where that router listens for the servers behind it. `components`
    maps a domain to its XEP-0114 secret. `hosts` are virtual hosts, at least one; with `clients`
    people may register there, and connect to `c2s_port` without TLS. Without `dialback` only a
    certificate proves a peer. `options` are laid over all that, on the top level. A `log_level`
    above "info" leaves nothing for `established` to read.
    """

    def __init__(
        self,
        directory: Path,
        *,
        certificates: Path,
        trust_anchors: Path,
        hosts: Sequence[str] = ("localhost",),
        components: Mapping[str, str] | None = None,
        routes: Mapping[str, tuple[str, int]] | None = None,
        dialback: bool = True,
        starttls: StartTls = "required",
        inside: tuple[str, int] | None = None,
        clients: bool = False,
        s2s_port: int | None = None,
        log_level: str = "debug",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.s2s_port = s2s_port or free_port()
        self.component_port = free_port()
        self.c2s_port = free_port()
        self._takes_clients = clients
        self.hosts = tuple(hosts)
        self.components = dict(components or {})
        self._routes = dict(routes or {})
        self._otherwise = NOWHERE if inside is None else {"SRV": [_srv(*inside)]}
        self._nameserver: Nameserver | None = None
        self._config_path = directory / "ejabberd.yml"
        self._inetrc_path = directory / "inetrc"
        super().__init__(
            (
                *("erl", "-noinput", "-mnesia", "dir", f'"{directory / "spool"}"'),
                # In this order, and to standard output, so that no log level can hide it.
                *("-s", "ejabberd", "-eval", f'io:put_chars("{READY_LINE}\\n")'),
            ),
            directory=directory,
            ports=[
                self.s2s_port,
                *([self.component_port] if self.components else []),
                *([self.c2s_port] if clients else []),
            ],
            host=HOST,
            ready_line=READY_LINE,
            environment={
                "ERL_LIBS": str(library()),
                "ERL_INETRC": str(self._inetrc_path),
                "ERL_CRASH_DUMP_SECONDS": "0",
                "EJABBERD_CONFIG_PATH": str(self._config_path),
                "EJABBERD_LOG_PATH": str(directory / "ejabberd.log"),
            },
        )
        modules: dict[str, Any] = {"mod_disco": {}, "mod_ping": {}}
        if dialback:
            modules["mod_s2s_dialback"] = {}
        if clients:
            modules |= {"mod_register": {"ip_access": "all"}, "mod_roster": {}}
        self._options: dict[str, Any] = {
            "loglevel": log_level,
            "hosts": list(self.hosts),
            "ca_file": str(trust_anchors),
            "certfiles": [
                str(certificates / f"{name}.{kind}")
                for name in (*self.hosts, *self.components)
                for kind in ("crt", "key")
                if (certificates / f"{name}.{kind}").exists()
            ],
            "s2s_use_starttls": starttls,
            # After a failure it bounces for a random time, up to 300 s by default.
            "s2s_max_retry_delay": 1,
            "listen": self._listeners(),
            "modules": modules,
            **(options or {}),
        }

    async def start(self) -> None:
        """Write the config and start; raises `DaemonError` when a port could not be taken."""
        self._nameserver = Nameserver(zone(self._routes), otherwise=self._otherwise)
        self._nameserver.__enter__()
        # JSON is YAML.
        self._config_path.write_text(json.dumps(self._options, indent=1))
        self._inetrc_path.write_text(INETRC.format(port=self._nameserver.port))
        await super().start()

    async def stop(self) -> int:
        """End it and its name server; the exit code. Raises `DaemonError` as `Daemon` does."""
        try:
            return await super().stop()
        finally:
            if self._nameserver is not None:
                self._nameserver.__exit__(None, None, None)
                self._nameserver = None

    def trouble(self) -> str | None:
        """A port that another process took first: ejabberd only logs that and runs on."""
        failures = (line for line in self.log().splitlines() if BIND_FAILURE in line)
        return next(failures, None)

    def established(self) -> list[tuple[str, str, str]]:
        """Streams this server has authenticated since its last start, in order, closed ones too.

        Each is ("Incoming" or "Outgoing", initiating domain, receiving domain).
        """
        return [proof[:3] for proof in self.proofs()]

    def proofs(self) -> list[tuple[str, str, str, str]]:
        """As `established`, and behind each how it was proved: "external" or "dialback"."""
        return [
            (DIRECTIONS[m[1]], m[3], m[4], m[2].lower()) for m in ESTABLISHED.finditer(self.log())
        ]

    def _listeners(self) -> list[dict[str, Any]]:
        listeners: list[dict[str, Any]] = [
            {"port": self.s2s_port, "ip": HOST, "module": "ejabberd_s2s_in"}
        ]
        if self._takes_clients:
            listeners.append({"port": self.c2s_port, "ip": HOST, "module": "ejabberd_c2s"})
        if self.components:
            listeners.append(
                {
                    "port": self.component_port,
                    "ip": HOST,
                    "module": "ejabberd_service",
                    # Otherwise each component that attaches gets the stanzas of all the others.
                    "global_routes": False,
                    "hosts": {
                        domain: {"password": secret} for domain, secret in self.components.items()
                    },
                }
            )
        return listeners


def zone(routes: Mapping[str, tuple[str, int]]) -> dict[str, dict[str, list[str]]]:
    """SRV records (RFC 6120 section 3.2.1) that lead each domain to its address and port.

    COMPAT ejabberd 23.01: it resolves the target by the C library, out of our reach, which takes an
    address for a name.
    """
    return {
        f"_xmpp-server._tcp.{domain}": {"SRV": [_srv(*place)]} for domain, place in routes.items()
    }


def _srv(address: str, port: int) -> str:
    return f"0 0 {port} {address}."


def _package() -> Path | None:
    found = sorted(LIBRARIES.glob("*/ejabberd-*/ebin/ejabberd.app"))
    return found[-1].parents[1] if found else None
