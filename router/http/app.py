"""The routes and what they ask of the node: read-only on `listen.http`, all on `admin.sock`.

Nothing a peer chose is shown outside /api, and nothing is logged per request.
"""

import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from aiohttp import web

from router.config import Address
from router.http import status_page
from router.http.metrics_page import MetricsPage
from router.xmpp import jid

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Server": "causeway",
    "X-Content-Type-Options": "nosniff",
}
_NOT_NOW: Final = "not now: the router is restarting or ending, or its configuration is wrong\n"


class Shown(Protocol):
    """A dataclass of plain values."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Node(Protocol):
    """What the supervisor offers to be shown."""

    def not_ready(self) -> Sequence[str]:
        """Why traffic should not come here; empty when it should."""
        ...

    def listeners(self) -> Mapping[str, Sequence[str]]:
        """Addresses bound, by kind."""
        ...

    def processes(self) -> Sequence[status_page.ProcessView]:
        """The living role processes."""
        ...

    async def streams(self) -> Sequence[Mapping[str, object]]:
        """One row for each open stream."""
        ...

    async def pairs(self) -> Sequence[Mapping[str, object]]:
        """One row for each pair that has a stream, a dial or a backlog."""
        ...

    async def explain(self, local: str, remote: str) -> Shown:
        """What is known of the way between two domains."""
        ...

    async def close(self, local: str, remote: str) -> Sequence[Mapping[str, object]]:
        """Close all streams that carry the pair in order; a row for each."""
        ...

    async def sessions(self) -> Sequence[Mapping[str, object]]:
        """One row for each session of an end-to-end stream."""
        ...

    async def open_session(self, peer: str) -> Sequence[Mapping[str, object]]:
        """Begin a session with this address; a row for it."""
        ...

    def restart(self) -> bool:
        """Replace every process, one after another; False when that cannot be now."""
        ...

    def succeed(self) -> bool:
        """Have the supervisor replaced; False when that cannot be now."""
        ...

    def restarting(self) -> Mapping[str, object]:
        """How far the last restart is."""
        ...

    def totals(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        """Each metric's value by label values."""
        ...


def application(node: Node, http_address: str, *, acts: bool = False) -> web.Application:
    """All routes; with `acts` those too that change something, which are for the admin socket.

    `http_address` is what /api/listeners says of `listen.http`.
    """
    metrics = MetricsPage(node.totals)

    def listeners() -> dict[str, Sequence[str]]:
        return {**node.listeners(), "http": [http_address]}

    async def show_live(_request: web.Request) -> web.Response:
        return web.Response(text="live\n")  # answered by the supervisor's loop, so it turns

    async def show_ready(_request: web.Request) -> web.Response:
        reasons = node.not_ready()
        if reasons:
            return web.Response(status=503, text="".join(f"{reason}\n" for reason in reasons))
        return web.Response(text="ready\n")

    async def show_metrics(request: web.Request) -> web.Response:
        page, content_type = metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    async def show_streams(_request: web.Request) -> web.Response:
        return web.json_response(await node.streams())

    async def show_pairs(_request: web.Request) -> web.Response:
        return web.json_response(await node.pairs())

    async def explain(request: web.Request) -> web.Response:
        return web.json_response(asdict(await node.explain(*_domains(request))))

    async def close(request: web.Request) -> web.Response:
        return web.json_response(await node.close(*_domains(request)))

    async def show_sessions(_request: web.Request) -> web.Response:
        return web.json_response(await node.sessions())

    async def open_session(request: web.Request) -> web.Response:
        return web.json_response(await node.open_session(_address(request, "peer")))

    async def show_restart(_request: web.Request) -> web.Response:
        return web.json_response(node.restarting())

    async def restart(request: web.Request) -> web.Response:
        before = node.restarting()
        may = node.succeed() if request.query.get("what") == "supervisor" else node.restart()
        if not may:
            raise web.HTTPBadRequest(text=_NOT_NOW)
        return web.json_response(before if request.query else node.restarting())

    async def show_listeners(_request: web.Request) -> web.Response:
        return web.json_response(listeners())

    async def show_page(_request: web.Request) -> web.Response:
        streams = node.totals()["causeway_s2s_streams"]
        page = status_page.render(node.not_ready(), node.processes(), streams, listeners())
        return web.Response(text=page, content_type="text/html")

    app = web.Application()
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/", show_page)
    app.router.add_get("/live", show_live)
    app.router.add_get("/ready", show_ready)
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/api/streams", show_streams)
    app.router.add_get("/api/pairs", show_pairs)
    app.router.add_get("/api/explain", explain)
    app.router.add_get("/api/listeners", show_listeners)
    app.router.add_get("/api/e2e", show_sessions)
    app.router.add_get("/api/restart", show_restart)
    if acts:
        app.router.add_post("/api/restart", restart)
        app.router.add_post("/api/close", close)
        app.router.add_post("/api/e2e/open", open_session)
    return app


@asynccontextmanager
async def served(node: Node, http: socket.socket, admin: Path) -> AsyncIterator[None]:
    """Serve on a listening TCP socket, and all of it on a Unix socket of mode 0600 at `admin`."""
    host, port = http.getsockname()[:2]
    address = str(Address(host, port))
    async with _running(application(node, address)) as public:
        await web.SockSite(public, http).start()
        async with _running(application(node, address, acts=True)) as private:
            await web.UnixSite(private, admin).start()
            _make_private(admin)
            yield


@asynccontextmanager
async def _running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


def _domains(request: web.Request) -> tuple[str, str]:
    """`local` and `remote` of the query, normalised; else the answer is 400 and says why."""
    return _domain(request, "local"), _domain(request, "remote")


def _domain(request: web.Request, name: str) -> str:
    return _parsed(request, name, jid.domain)


def _address(request: web.Request, name: str) -> str:
    return _parsed(request, name, jid.normal)


def _parsed(request: web.Request, name: str, parse: Callable[[str], str]) -> str:
    text = request.query.get(name, "")
    try:
        return parse(text)
    except jid.JidError as error:
        reason = f"{text[:256]!r}: {error}" if text else "is missing"
        raise web.HTTPBadRequest(text=f"{name} {reason}\n") from None


def _make_private(path: Path) -> None:
    path.chmod(0o600)


async def _add_headers(_request: web.Request, response: Any) -> None:
    response.headers.update(_HEADERS)
