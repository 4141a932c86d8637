"""The routes, and what they ask of the node. Served twice: on `listen.http` and on `admin.sock`.

Read-only. Nothing a peer chose is shown outside /api, and nothing is logged per request.
"""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from router.http import status_page
from router.http.metrics_page import MetricsPage

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Server": "causeway",
    "X-Content-Type-Options": "nosniff",
}


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

    def totals(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        """Each metric's value by label values."""
        ...


def application(node: Node, http_address: str) -> web.Application:
    """All routes; `http_address` is what /api/listeners says of `listen.http`."""
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
    app.router.add_get("/api/listeners", show_listeners)
    return app


@asynccontextmanager
async def served(app: web.Application, http: socket.socket, admin: Path) -> AsyncIterator[None]:
    """Serve the app on a listening TCP socket and on a Unix socket of mode 0600 at `admin`."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, http).start()
        await web.UnixSite(runner, admin).start()
        _make_private(admin)
        yield
    finally:
        await runner.cleanup()


def _make_private(path: Path) -> None:
    path.chmod(0o600)


async def _add_headers(_request: web.Request, response: Any) -> None:
    response.headers.update(_HEADERS)
