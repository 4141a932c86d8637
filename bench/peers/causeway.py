"""A real Causeway on loopback: its config file, its ports, its processes.

Owns a directory, a run directory and one `causeway run` of this very tree; several run side by
side. Every port is the system's choice and is learned through the admin socket.
Called by the tests of whole processes, the benchmarks and the demo.
"""

import asyncio
import http
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from bench.peers.daemon import POLL_INTERVAL_S, Daemon
from router.cli import admin
from router.config import Address
from router.metrics import METRICS

HOST: Final = "127.0.0.1"
TREE: Final = Path(__file__).resolve().parents[2]
NUMBERS: Final = ("slot", "incarnation")
READY_LINE: Final = '"event": "router.ready"'

Toml = str | bool | int | float | Sequence["Toml"] | Mapping[str, "Toml"]
Metrics = dict[tuple[str, tuple[str, ...]], float]


class Causeway(Daemon):
    """One node, from `async with` to its end. The names of settings are `Prosody`'s where they fit.

    `certificates` holds NAME.crt and NAME.key of every domain; `trust_anchors` is a PEM file and
    replaces the public roots. `components` maps each hosted domain to its XEP-0114 secret. `routes`
    maps a remote domain to the (address, port) that takes STARTTLS; others are looked up in DNS.
    `settings` is merged over all that: `{"limits": {"handshake_timeout_s": 2}}`. A port of 0 is
    chosen anew at every start.
    """

    def __init__(
        self,
        directory: Path,
        *,
        certificates: Path,
        trust_anchors: Path,
        components: Mapping[str, str],
        routes: Mapping[str, tuple[str, int]] | None = None,
        bidi: bool = True,
        dialback: bool = True,
        acceptors: int = 1,
        workers: int = 1,
        s2s_port: int = 0,
        settings: Mapping[str, Toml] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.config_path = directory / "causeway.toml"
        # Not below `directory`: the path of a Unix socket has at most 107 bytes.
        self.run_dir = Path(tempfile.gettempdir()) / f"cw-{secrets.token_hex(4)}"
        super().__init__(
            (sys.executable, "-m", "router", "run", "--config", str(self.config_path)),
            directory=directory,
            ports=(),
            host=HOST,
            ready_line=READY_LINE,
            stop_timeout_s=30,
            environment={"PYTHONPATH": str(TREE), **(environment or {})},
        )
        peers: dict[str, Toml] = {"*": {"bidi": bidi}}
        for name, (host, port) in (routes or {}).items():
            peers[name] = {"target": str(Address(host, port))}
        ours: dict[str, Toml] = {
            "listen": {
                "s2s": [f"{HOST}:{s2s_port}"],
                "s2s_direct_tls": [f"{HOST}:0"],
                "components": [f"{HOST}:0"],
                "http": f"{HOST}:0",
            },
            "processes": {
                "acceptors": acceptors,
                "workers": workers,
                "run_dir": str(self.run_dir),
            },
            "tls": {"certificates": str(certificates), "trust_anchors": str(trust_anchors)},
            "dialback": {"enabled": dialback, "secret_file": str(directory / "dialback.secret")},
            "dial": {"allow_private_addresses": True},
            "domains": {
                name: {"attach": "component", "secret": secret}
                for name, secret in components.items()
            },
            "peers": peers,
        }
        self._settings = merged(ours, settings or {})
        self._ports: dict[str, int] = {}

    async def start(self) -> None:
        """Write the config, start, and return once /ready says so and the ports are known."""
        self.config_path.touch(mode=0o600)
        self.config_path.write_text(toml(self._settings))
        await super().start()
        try:
            await self._get("/ready")
            addresses = await self.ask("/api/listeners")
        except BaseException:
            await self.stop()
            raise
        self._ports = {kind: Address.parse(found[0]).port for kind, found in addresses.items()}

    async def stop(self) -> int:
        """Drain by SIGTERM and return the exit code; afterwards no process of the node is left.

        Raises `DaemonError` as `Daemon` does.
        """
        try:
            return await super().stop()
        finally:
            await self._end_orphans()
            shutil.rmtree(self.run_dir, ignore_errors=True)

    @property
    def settings(self) -> Mapping[str, Toml]:
        """What the configuration was written from."""
        return self._settings

    @property
    def s2s_port(self) -> int:
        """Takes STARTTLS."""
        return self._ports["s2s"]

    @property
    def direct_tls_port(self) -> int:
        """TLS from the first octet (XEP-0368)."""
        return self._ports["s2s_direct_tls"]

    @property
    def component_port(self) -> int:
        """XEP-0114."""
        return self._ports["components"]

    @property
    def inside_port(self) -> int:
        """For the servers behind it; there is one where the settings say so."""
        return self._ports["inside"]

    @property
    def http_port(self) -> int:
        """What `listen.http` became."""
        return self._ports["http"]

    def children(self) -> dict[str, int]:
        """Process ids of acceptors and workers by "a0.1", "w0.1": role, slot, incarnation.

        Those of a node that has lost its supervisor are found, too.
        """
        return dict(_processes_of(self.run_dir))

    async def streams(self) -> list[dict[str, Any]]:
        """The rows of /api/streams; components are among them, `leg` tells."""
        rows: list[dict[str, Any]] = await self.ask("/api/streams")
        return rows

    async def metrics(self) -> Metrics:
        """Every sample by name and label values, the labels in the order `router.metrics` has them.

        As of the last beat of each process: up to `BEAT_INTERVAL_S` old.
        """
        page = await self._get("/metrics")
        return {
            (sample.name, tuple(sample.labels[name] for name in _labels(sample.name))): sample.value
            for family in text_string_to_metric_families(page.decode())
            for sample in family.samples
        }

    async def ask(self, path: str) -> Any:
        """The JSON at `path` of the admin socket. Raises `DaemonError` when it does not answer."""
        return json.loads(await self._get(path))

    async def _end_orphans(self) -> None:
        """Those whose supervisor was killed would serve on for a minute, as they should."""
        async with asyncio.timeout(self.stop_timeout_s):
            while orphans := self.children():
                for pid in orphans.values():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(POLL_INTERVAL_S)

    async def _get(self, path: str) -> bytes:
        try:
            status, body = await asyncio.to_thread(admin.get, self.run_dir, path)
        except admin.NotRunning as error:
            raise self._error(str(error)) from None
        if status != http.HTTPStatus.OK:
            raise self._error(f"{path} answered {status}: {body.decode(errors='replace')}")
        return body


def merged(base: Mapping[str, Toml], over: Mapping[str, Toml]) -> dict[str, Toml]:
    """`base` with `over` laid over it, tables entry by entry."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = merged(below, value)
        result[key] = value
    return result


def toml(tables: Mapping[str, Toml]) -> str:
    """A TOML document: a section for each table, tables within them inline."""
    lines: list[str] = []
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise ValueError(f"{name} is not a table")
        lines += ["", f"[{_toml(name)}]"]
        lines += [f"{_toml(key)} = {_toml(value)}" for key, value in table.items()]
    return "\n".join(lines[1:]) + "\n"


def _toml(value: Toml) -> str:
    match value:
        case Mapping():
            return "{ " + ", ".join(f"{_toml(key)} = {_toml(value[key])}" for key in value) + " }"
        case bool() | int() | float() | str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return "[" + ", ".join(map(_toml, value)) + "]"


def _labels(sample: str) -> tuple[str, ...]:
    metric = METRICS.get(sample)
    return metric.label_names if metric is not None else ()


def _processes_of(run_dir: Path) -> Iterator[tuple[str, int]]:
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            pid = int(process.name)
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[words.index("--control") + 1].startswith(f"{run_dir}/"):
                role = "w" if "workers" in words else "a"
                slot, incarnation = (words[words.index(f"--{it}") + 1] for it in NUMBERS)
                yield f"{role}{slot}.{incarnation}", pid
