"""The servers of one way from a component to another, and a generator at either end of it.

Two Prosodys federate. On the ordinary way the ends are their components. On the others a router is
the component of each, the ends are the routers', and all goes through an express lane between these
two: in band, which is by way of the Prosodys again, or over SOCKS5, past them. Called by `measure`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bench.authority import Authority
from bench.peers.causeway import HOST, Causeway
from bench.peers.daemon import free_port
from bench.peers.prosody import Prosody
from bench.remote import Component

Way = Literal["ordinary", "in-band", "socks5"]
Limits = Literal["default", "none"]
WAYS: Final[tuple[Way, ...]] = ("ordinary", "in-band", "socks5")
LIMITS: Final[tuple[Limits, ...]] = ("default", "none")
"""`mod_limits` as Prosody's own configuration has it, or no such module."""

SENDER: Final = "montague.lit"
TARGET: Final = "capulet.lit"
ROUTER: Final = "router"
SERVER: Final = "prosody"
SECRET: Final = "s3cr3t"
LANE_S: Final = 60.0
ATTACH_S: Final = 20.0
LEAVING_S: Final = 5.0
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Road:
    """What a way is made of; without a router there is no lane."""

    sender: Component
    target: Component
    servers: dict[str, Prosody]
    routers: dict[str, Causeway]

    def processes(self) -> dict[str, int]:
        """Process ids by name, which begins with `ROUTER` or `SERVER`."""
        found = {f"{SERVER} {domain}": server.pid for domain, server in self.servers.items()}
        for domain, router in self.routers.items():
            own = {"supervisor": router.pid, **router.children()}
            found |= {f"{ROUTER} {domain} {name}": pid for name, pid in own.items()}
        return found

    async def carried(self) -> int:
        """Stanzas that have come out of the lane so far."""
        rows = await inner_streams(self.routers[TARGET])
        return sum(row["stanzas_in"] for row in rows)


async def inner_streams(router: Causeway) -> list[dict[str, Any]]:
    """Its rows of /api/streams that are streams inside a session."""
    return [row for row in await router.streams() if row["leg"] == "e2e"]


@asynccontextmanager
async def road(way: Way, limits: Limits, directory: Path) -> AsyncIterator[Road]:
    """Everything runs, the lane is up, both ends are attached; all of it ends with the block.

    Raises DaemonError when a server does not start, and ConnectionError when there is no such lane
    or an end is not let in.
    """
    authority = Authority.make(directory / "certificates")
    for domain in (SENDER, TARGET):
        for name in (domain, _relay(domain), _server(domain)):
            authority.issue(name, eku="both")
    ports = {domain: free_port() for domain in (SENDER, TARGET)}
    async with AsyncExitStack() as stack:
        servers: dict[str, Prosody] = {}
        routers: dict[str, Causeway] = {}
        for domain in ports:
            home = _made(directory / "servers" / domain)
            served = _prosody(home, authority, domain, ports, way, limits)
            servers[domain] = await stack.enter_async_context(served)
        if way != "ordinary":
            for domain, server in servers.items():
                home = _made(directory / "routers" / domain)
                router = _router(home, authority, domain, server, way)
                routers[domain] = await stack.enter_async_context(router)
            await _until_up(routers, way)
        ends = []
        for domain in ports:
            end = Component(domain, SECRET)
            stack.push_async_callback(end.leave, LEAVING_S)
            await _attach(end, (routers or servers)[domain].component_port)
            ends.append(end)
        yield Road(ends[0], ends[1], servers, routers)


def _prosody(
    home: Path,
    authority: Authority,
    domain: str,
    ports: dict[str, int],
    way: Way,
    limits: Limits,
) -> Prosody:
    away = (HOST, ports[_other(domain)])
    foreign = (_other(domain), _relay(_other(domain)), _server(_other(domain)))
    return Prosody(
        home,
        certificates=authority.directory,
        trust_anchors=authority.anchors,
        hosts=[_server(domain)],
        components={(domain if way == "ordinary" else _relay(domain)): SECRET},
        routes=dict.fromkeys(foreign, away),
        s2s_port=ports[domain],
        # As its own configuration has it. With bidi a stream that it opened itself would bring
        # what the limits are meant for, and they are for streams that others open.
        bidi=False,
        limits=limits == "default",
        log_level="warn",
    )


def _router(home: Path, authority: Authority, domain: str, server: Prosody, way: Way) -> Causeway:
    lane = {"peer": _relay(_other(domain)), "pairs": [[domain, _other(domain)]]}
    return Causeway(
        home,
        certificates=authority.directory,
        trust_anchors=authority.anchors,
        components={domain: SECRET},
        # Nobody listens there: the lane is the only way.
        routes={_other(domain): (HOST, free_port())},
        settings={
            "e2e": {
                "jid": _relay(domain),
                "server": f"{HOST}:{server.component_port}",
                "secret": SECRET,
                "socks5": [f"{HOST}:0"] if way == "socks5" else [],
                "express": [lane],
            }
        },
    )


async def _until_up(routers: dict[str, Causeway], way: Way) -> None:
    try:
        async with asyncio.timeout(LANE_S):
            while not (rows := await _standing(routers)):  # noqa: ASYNC110 - no event reaches us
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise ConnectionError(f"no express lane within {LANE_S:g} s") from None
    over = "socks5" if all(row["address"] for row in rows) else "in-band"
    if over != way:
        raise ConnectionError(f"the express lane is {over}")


async def _standing(routers: dict[str, Causeway]) -> list[dict[str, Any]]:
    """Both ends of the lane; nothing until both are open."""
    rows = [row for router in routers.values() for row in await inner_streams(router)]
    return rows if [row["state"] for row in rows] == ["open", "open"] else []


async def _attach(end: Component, port: int) -> None:
    try:
        async with asyncio.timeout(ATTACH_S):
            await end.connect(HOST, port)
    except TimeoutError:
        raise ConnectionError(f"an end was not attached within {ATTACH_S:g} s") from None


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def _other(domain: str) -> str:
    return TARGET if domain == SENDER else SENDER


def _relay(domain: str) -> str:
    return f"relay.{domain}"


def _server(domain: str) -> str:
    return f"server.{domain}"
