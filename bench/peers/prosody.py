"""A real Prosody on loopback: its config file, its ports, its accounts.

Owns a directory and one `prosody -F` in it; several run side by side. Federation goes by static
routes alone (`lua/mod_causeway_route.lua`): no DNS, no address off the machine.
Called by the interop tests and the benchmarks. Written for Prosody 0.12, Debian 12's package.
"""

import asyncio
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.peers.daemon import POLL_INTERVAL_S, Daemon, DaemonError, free_port

HOST = "127.0.0.1"
VERSION_FILE = Path("/usr/lib/prosody/prosody.version")
LUA_MODULES = Path(__file__).with_name("lua")
OUR_MODULES = Path(__file__).parents[2] / "ops" / "prosody"
MODULES = ("causeway_route", "disco", "ping", "roster", "saslauth", "tls")
BIND_FAILURE = "Failed to open server port"
READY_LINE = "causeway_route: server started"
TOLD_TO_END = "Received SIGTERM"
FAULT = "error\tEncountered error: "
LIMITS = {"c2s": {"rate": "10kb/s"}, "s2sin": {"rate": "30kb/s"}}
ESTABLISHED = re.compile(r"(Incoming|Outgoing) s2s connection (\S+)->(\S+) complete")
PROOF = re.compile(
    r"\s(?P<local>\S+):saslauth\s+\w+\s+"
    r"(?:Accepting SASL EXTERNAL identity from (?P<accepted>\S+)"
    r"|SASL EXTERNAL with (?P<succeeded>\S+) succeeded)"
    r"|(?P<way>Incoming|Outgoing) s2s connection (?P<initiating>\S+)->(?P<receiving>\S+) complete"
)

Lua = str | bool | int | Sequence["Lua"] | Mapping[str, "Lua"]


def installed() -> bool:
    """Whether this machine has Prosody at all."""
    return shutil.which("prosody") is not None


def version() -> str:
    """What the package says it is, or "unknown": the program itself has no option for it."""
    return VERSION_FILE.read_text().strip() if VERSION_FILE.exists() else "unknown"


class Prosody(Daemon):
    """One Prosody, from `async with` to its end; its ports are chosen at construction.

    `certificates` holds NAME.crt and NAME.key of every domain; `trust_anchors` is a PEM file and
    replaces the public roots. `routes` maps a remote domain to the (address, port) that takes
    STARTTLS; every other remote domain is unreachable. `components` maps a domain to its XEP-0114
    secret. `hosts` are virtual hosts, at least one, whose accounts `register` makes, and `rooms`
    domains of rooms for many (XEP-0045).
    `management` is XEP-0198, by mod_smacks. `inside` is where a router listens for the servers
    behind it: everything that is for others goes there, and `routes` count for nothing.
    `limits` has mod_limits with the rates that Prosody's own configuration comes with.
    `s2s_secure_auth` is what Prosody means by it: the peer's certificate must be valid, dialback
    proves nothing. `options` are laid over all that, in the global section. A `log_level` above
    "info" leaves nothing for `established` to read, nor one above "debug" for `proofs`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        certificates: Path,
        trust_anchors: Path,
        hosts: Sequence[str] = ("localhost",),
        components: Mapping[str, str] | None = None,
        rooms: Sequence[str] = (),
        routes: Mapping[str, tuple[str, int]] | None = None,
        bidi: bool = True,
        dialback: bool = True,
        s2s_secure_auth: bool = True,
        s2s_port: int | None = None,
        log_level: str = "debug",
        management: bool = False,
        limits: bool = False,
        inside: tuple[str, int] | None = None,
        options: Mapping[str, Lua] | None = None,
    ) -> None:
        self.s2s_port = s2s_port or free_port()
        self.c2s_port = free_port()
        self.component_port = free_port()
        self.hosts = tuple(hosts)
        self.components = dict(components or {})
        self._rooms = tuple(rooms)
        self._config_path = directory / "prosody.cfg.lua"
        super().__init__(
            ("prosody", "-F", "--config", str(self._config_path)),
            directory=directory,
            # Prosody opens the component port only when its config has a component.
            ports=[
                self.s2s_port,
                self.c2s_port,
                *([self.component_port] if self.components else []),
            ],
            host=HOST,
            ready_line=READY_LINE,
        )
        chosen = {
            "s2s_bidi": bidi,
            "dialback": dialback,
            "smacks": management,
            "limits": limits,
            "causeway": inside is not None,
        }
        modules = [*MODULES, *(name for name, is_chosen in chosen.items() if is_chosen)]
        self._options: dict[str, Lua] = {
            # It refuses to run as root otherwise, and a container's tests often do.
            "run_as_root": True,
            "pidfile": str(directory / "prosody.pid"),
            "data_path": str(directory / "data"),
            "log": [{"levels": {"min": log_level}, "to": "file", "filename": str(self.log_path)}],
            "plugin_paths": [str(LUA_MODULES), str(OUR_MODULES)],
            "modules_enabled": modules,
            **_ways(routes or {}, inside),
            **({"limits": LIMITS} if limits else {}),
            "interfaces": [HOST],
            "s2s_ports": [self.s2s_port],
            "c2s_ports": [self.c2s_port],
            "component_ports": [self.component_port],
            "component_interfaces": [HOST],
            "certificates": str(certificates),
            # An empty capath keeps the machine's own roots out.
            "ssl": {"cafile": str(trust_anchors), "capath": str(directory / "no-roots")},
            "s2s_require_encryption": True,
            "s2s_secure_auth": s2s_secure_auth,
            "c2s_require_encryption": False,
            "authentication": "internal_hashed",
            **(options or {}),
        }

    async def start(self) -> None:
        """Write the config and start; raises `DaemonError` when a port could not be taken."""
        for name in ("data", "no-roots"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self._config_path.write_text(self._config())
        await super().start()

    def trouble(self) -> str | None:
        """A port that another process took first: Prosody only logs that and runs on."""
        failures = (line for line in self.log().splitlines() if BIND_FAILURE in line)
        return next(failures, None)

    async def ended(self) -> int:
        """As `Daemon.ended`.

        COMPAT Prosody 0.12.3: it begins to end between any two steps of what it is doing, such as
        taking a connection. When it stumbles over a session half made it forgets that it was to
        end, and has to be told again.
        """
        faults = 0
        ending = asyncio.create_task(super().ended())
        try:
            while not (await asyncio.wait([ending], timeout=POLL_INTERVAL_S))[0]:
                found = self.log().partition(TOLD_TO_END)[2].count(FAULT)
                if found > faults:
                    self.terminate()
                faults = found
            return await ending
        finally:
            ending.cancel()

    def established(self) -> list[tuple[str, str, str]]:
        """Streams this server has authenticated since its last start, in order, closed ones too.

        Each is ("Incoming" or "Outgoing", initiating domain, receiving domain). With XEP-0288 one
        stream carries both ways and stands here once on each side.
        """
        return [(m[1], m[2], m[3]) for m in ESTABLISHED.finditer(self.log())]

    def proofs(self) -> list[tuple[str, str, str, str]]:
        """As `established`, and behind each how it was proved: "external" or "dialback"."""
        found, by_certificate = [], set[tuple[str, str]]()
        for m in PROOF.finditer(self.log()):
            if m["local"]:
                by_certificate.add((m["local"], m["accepted"] or m["succeeded"]))
                continue
            initiating, receiving = m["initiating"], m["receiving"]
            here = (receiving, initiating) if m["way"] == "Incoming" else (initiating, receiving)
            mechanism = "external" if here in by_certificate else "dialback"
            by_certificate.discard(here)
            found.append((m["way"], initiating, receiving, mechanism))
        return found

    async def register(self, username: str, host: str, password: str) -> None:
        """Make an account on one of `hosts`; may be called while the server runs."""
        control = await asyncio.create_subprocess_exec(
            "prosodyctl",
            "--config",
            str(self._config_path),
            "register",
            username,
            host,
            password,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await control.communicate()
        if control.returncode != 0:
            raise DaemonError(f"prosodyctl register {username}@{host}: {output.decode()}")

    def _config(self) -> str:
        lines = [f"{name} = {lua(value)}" for name, value in self._options.items()]
        lines += [f"VirtualHost {lua(host)}" for host in self.hosts]
        lines += [f"Component {lua(domain)} {lua('muc')}" for domain in self._rooms]
        for domain, secret in self.components.items():
            lines += [f"Component {lua(domain)}", f"\tcomponent_secret = {lua(secret)}"]
        return "\n".join(lines) + "\n"


def _ways(
    routes: Mapping[str, tuple[str, int]], inside: tuple[str, int] | None
) -> Mapping[str, Lua]:
    if inside is not None:
        return {"causeway_inside": list(inside)}
    return {"causeway_routes": {name: list(place) for name, place in routes.items()}}


def lua(value: Lua) -> str:
    """`value` as a Lua expression; mappings and sequences become tables."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            pairs = (f"[{lua(key)}] = {lua(item)}" for key, item in value.items())
            return "{ " + ", ".join(pairs) + " }"
        case _:
            return "{ " + ", ".join(lua(item) for item in value) + " }"
