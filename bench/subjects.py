"""The systems under test behind one shape: this router, Prosody and ejabberd, set up for speed.

Foreign servers run as an operator would run them for speed: they log warnings only, nothing limits
their rates. Called by the benchmarks that compare; the servers themselves are in `bench.peers`.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.cost import family
from bench.peers import ejabberd, haproxy, prosody
from bench.peers.causeway import Causeway, Toml, merged
from bench.peers.ejabberd import Ejabberd
from bench.peers.prosody import Prosody
from router.supervisor.build import build_labels

OURS: Final = ("causeway", "causeway-pinned", "causeway-pure")
"""This router, with `[processes] pin`, and with the reader in Python."""
NAMES: Final = (*OURS, "prosody", "ejabberd")
READER_VARIABLE: Final = "CAUSEWAY_READER"

Route = tuple[str, int]


class Subject:
    """A server under test, from `async with` to its end. Ports are known once it has started."""

    def __init__(self, name: str, server: Causeway | Prosody | Ejabberd) -> None:
        self.name = name
        self.server = server

    @property
    def s2s_port(self) -> int:
        """Takes STARTTLS."""
        return self.server.s2s_port

    @property
    def component_port(self) -> int:
        """XEP-0114."""
        return self.server.component_port

    @property
    def version(self) -> str:
        """As the server writes it."""
        return version(self.name)

    def processes(self) -> dict[str, int]:
        """Every process of the server by its label, as of now."""
        if isinstance(self.server, Causeway):
            return {"supervisor": self.server.pid, **self.server.children()}
        return family(self.server.pid)

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.server.stop()


def subject(
    name: str,
    directory: Path,
    *,
    certificates: Path,
    trust_anchors: Path,
    components: Mapping[str, str],
    routes: Mapping[str, Route] | None = None,
    bidi: bool = True,
    dialback: bool = False,
    acceptors: int = 1,
    workers: int = 1,
    s2s_port: int = 0,
    settings: Mapping[str, Toml] | None = None,
) -> Subject:
    """One of `NAMES`, not yet started; `directory` is made and must be its own.

    The settings are those of the classes in `bench.peers`. Certificates have to be good for clients
    as well, or ejabberd proves nothing by them. Without `dialback` only a certificate proves a
    peer; with it, either does. ejabberd has no bidi, and only this router has `acceptors`,
    `workers` and `settings`. Raises ValueError for another name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if name == "causeway-pinned":
        settings = merged(settings or {}, {"processes": {"pin": True}})
    match name:
        case "causeway" | "causeway-pinned" | "causeway-pure":
            server: Causeway | Prosody | Ejabberd = Causeway(
                directory,
                certificates=certificates,
                trust_anchors=trust_anchors,
                components=components,
                routes=routes,
                s2s_port=s2s_port,
                bidi=bidi,
                dialback=dialback,
                acceptors=acceptors,
                workers=workers,
                settings=settings,
                environment={READER_VARIABLE: "pure"} if name == "causeway-pure" else {},
            )
        case "prosody":
            server = Prosody(
                directory,
                certificates=certificates,
                trust_anchors=trust_anchors,
                components=components,
                routes=routes,
                s2s_port=s2s_port or None,
                bidi=bidi,
                dialback=dialback,
                s2s_secure_auth=not dialback,
                log_level="warn",
            )
        case "ejabberd":
            server = Ejabberd(
                directory,
                certificates=certificates,
                trust_anchors=trust_anchors,
                components=components,
                routes=routes,
                s2s_port=s2s_port or None,
                dialback=dialback,
                log_level="warning",
            )
        case _:
            raise ValueError(f"{name!r} is none of {', '.join(NAMES)}")
    return Subject(name, server)


def installed(name: str) -> str:
    """Empty, or why this server cannot run here; HAProxy, no subject of XMPP, is known, too.

    Raises ValueError for a name that is not known.
    """
    match name:
        case "causeway" | "causeway-pinned" | "causeway-pure":
            return ""
        case "prosody":
            return "" if prosody.installed() else "Prosody is not installed (apt: prosody)"
        case "ejabberd":
            return "" if ejabberd.installed() else "ejabberd is not installed (apt: ejabberd)"
        case "haproxy":
            return "" if haproxy.installed() else "HAProxy is not installed (apt: haproxy)"
    raise ValueError(f"{name!r} is none of {', '.join(NAMES)}")


def version(name: str) -> str:
    """Of one that `installed` knows; "unknown" where it is not there or does not say."""
    match name:
        case "prosody":
            return prosody.version()
        case "ejabberd":
            return ejabberd.version()
        case "haproxy":
            return haproxy.version()
    return build_labels()[0]
