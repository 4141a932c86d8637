"""A real HAProxy on loopback that relays octets, with TLS where it is asked for.

Owns a directory and one single-threaded `haproxy` in it, in TCP mode: it knows nothing of XMPP, so
it shows what TLS and sockets alone cost. Called by the benchmarks. Written for HAProxy 2.6.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers.daemon import Daemon, free_port

HOST: Final = "127.0.0.1"
CONFIG: Final = """\
global
    nbthread 1
    maxconn 4096
    log stdout local0 warning
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
"""


def installed() -> bool:
    """Whether this machine has HAProxy at all."""
    return shutil.which("haproxy") is not None


def version() -> str:
    """As the program says it, or "unknown"."""
    if not installed():
        return "unknown"
    said = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=False).stdout
    return said.split()[2] if said else "unknown"


@dataclass(frozen=True, slots=True)
class Way:
    """One relay: TLS toward whoever connects or not, TLS toward the target or not."""

    target_port: int
    takes_tls: bool
    gives_tls: bool


class Haproxy(Daemon):
    """One HAProxy, from `async with` to its end; `ports_of` has the port of each of `ways`.

    `certificate` is the PEM file that it presents, with its key beside it in NAME.key. It asks
    nobody for a certificate and checks none.
    """

    def __init__(self, directory: Path, *, certificate: Path, ways: dict[str, Way]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ports_of = {name: free_port() for name in ways}
        self._ways = ways
        self._certificate = certificate
        self._config_path = directory / "haproxy.cfg"
        super().__init__(
            ("haproxy", "-db", "-q", "-f", str(self._config_path)),
            directory=directory,
            ports=self.ports_of.values(),
            host=HOST,
        )

    async def start(self) -> None:
        """Write the config and start; raises `DaemonError` when a port could not be taken."""
        together = self.directory / "certificate.pem"
        together.touch(mode=0o600)
        key = self._certificate.with_suffix(".key")
        together.write_bytes(self._certificate.read_bytes() + key.read_bytes())
        relays = (self._relay(name, together) for name in self._ways)
        self._config_path.write_text(CONFIG + "".join(relays))
        await super().start()

    def _relay(self, name: str, certificate: Path) -> str:
        way = self._ways[name]
        tls_in = f" ssl crt {certificate}" if way.takes_tls else ""
        tls_out = " ssl verify none" if way.gives_tls else ""
        return (
            f"listen {name}\n"
            f"    bind {HOST}:{self.ports_of[name]}{tls_in}\n"
            f"    server target {HOST}:{way.target_port}{tls_out}\n"
        )
