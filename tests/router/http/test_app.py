"""The endpoints, on TCP and on the admin socket, over a node that is only pretended."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from router.config import Address
from router.http.app import served
from router.http.status_page import ProcessView
from router.metrics import Ledger
from router.supervisor.listeners import bound_address, open_exclusive


@dataclass
class Explained:
    local: str
    remote: str
    history: Sequence[Mapping[str, object]] = ()


class PretendedNode:
    reasons: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.closed: list[tuple[str, str]] = []
        self.restarts = self.successions = 0

    async def pairs(self) -> Sequence[Mapping[str, object]]:
        return [{"local": "montague.example", "streams": ("a0.1/1",)}]

    async def explain(self, local: str, remote: str) -> Explained:
        return Explained(local, remote, ({"what": "dns"},))

    async def close(self, local: str, remote: str) -> Sequence[Mapping[str, object]]:
        self.closed.append((local, remote))
        return [{"number": 1}]

    async def sessions(self) -> Sequence[Mapping[str, object]]:
        return [{"peer": "relay.capulet.example"}]

    async def open_session(self, peer: str) -> Sequence[Mapping[str, object]]:
        return [{"peer": peer}]

    def restart(self) -> bool:
        self.restarts += 1
        return self.restarts == 1

    def succeed(self) -> bool:
        self.successions += 1
        return True

    def restarting(self) -> Mapping[str, object]:
        return {"state": "running" if self.restarts else "", "steps": []}

    def not_ready(self) -> Sequence[str]:
        return self.reasons

    def listeners(self) -> Mapping[str, Sequence[str]]:
        return {"s2s": ["127.0.0.1:5269"]}

    def processes(self) -> Sequence[ProcessView]:
        return []

    async def streams(self) -> Sequence[Mapping[str, object]]:
        return [{"remote": "capulet.example", "pairs": ("a to b",)}]

    def totals(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        return Ledger().totals()


@pytest.fixture
def node() -> PretendedNode:
    return PretendedNode()


@pytest.fixture
def admin(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


@pytest.fixture(params=["tcp", "unix"])
async def client(
    request: pytest.FixtureRequest, node: PretendedNode, admin: Path
) -> AsyncIterator[aiohttp.ClientSession]:
    async with AsyncExitStack() as stack:
        http = stack.enter_context(open_exclusive("http", Address("127.0.0.1", 0)))
        address = bound_address(http)
        await stack.enter_async_context(served(node, http, admin))
        if request.param == "tcp":
            session = aiohttp.ClientSession(f"http://{address}")
        else:
            connector = aiohttp.UnixConnector(str(admin))
            session = aiohttp.ClientSession("http://localhost", connector=connector)
        yield await stack.enter_async_context(session)


async def test_live(client: aiohttp.ClientSession) -> None:
    async with client.get("/live") as answer:
        assert answer.status == 200


async def test_ready_and_why_not(client: aiohttp.ClientSession, node: PretendedNode) -> None:
    async with client.get("/ready") as answer:
        assert answer.status == 200
    node.reasons = ("acceptor 0 is not up", "no worker is up")
    async with client.get("/ready") as answer:
        assert answer.status == 503
        assert (await answer.text()).splitlines() == list(node.reasons)


async def test_metrics_in_the_format_asked_for(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.content_type == "text/plain"
        assert "causeway_bidi_reuse_total 0.0" in await answer.text()
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with client.get("/metrics", headers=openmetrics) as answer:
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


async def test_streams(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/streams") as answer:
        assert await answer.json() == [{"remote": "capulet.example", "pairs": ["a to b"]}]


async def test_pairs(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/pairs") as answer:
        assert await answer.json() == [{"local": "montague.example", "streams": ["a0.1/1"]}]


async def test_explain_is_asked_for_normal_domains(client: aiohttp.ClientSession) -> None:
    asked = {"local": "Montague.Example.", "remote": "xn--bcher-kva.example"}
    async with client.get("/api/explain", params=asked) as answer:
        assert await answer.json() == {
            "local": "montague.example",
            "remote": "bücher.example",
            "history": [{"what": "dns"}],
        }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"local": "a.example"}, "remote is missing"),
        ({"remote": "a.example"}, "local is missing"),
        ({"local": "a.example", "remote": "a b"}, "remote 'a b': not a domain name"),
        ({"local": "x" * 2000, "remote": "a.example"}, "local 'xxx"),
    ],
)
async def test_bad_domains_are_told(
    client: aiohttp.ClientSession, query: dict[str, str], said: str
) -> None:
    async with client.get("/api/explain", params=query) as answer:
        assert answer.status == 400
        assert said in (await answer.text())[:400]


async def test_close_is_for_the_admin_socket_alone(
    client: aiohttp.ClientSession, node: PretendedNode, request: pytest.FixtureRequest
) -> None:
    asked = {"local": "MONTAGUE.example", "remote": "capulet.example"}
    is_private = request.node.callspec.params["client"] == "unix"
    async with client.post("/api/close", params=asked) as answer:
        if is_private:
            assert await answer.json() == [{"number": 1}]
        else:
            assert answer.status == 404
    assert node.closed == [("montague.example", "capulet.example")] * is_private
    async with client.get("/api/close", params=asked) as answer:
        assert answer.status == (405 if is_private else 404)
    async with client.post("/api/close", params={"local": "a.example"}) as answer:
        assert answer.status == (400 if is_private else 404)
    assert len(node.closed) == is_private


async def test_sessions_are_shown_to_all_and_opened_by_the_admin_socket_alone(
    client: aiohttp.ClientSession, request: pytest.FixtureRequest
) -> None:
    is_private = request.node.callspec.params["client"] == "unix"
    async with client.get("/api/e2e") as answer:
        assert await answer.json() == [{"peer": "relay.capulet.example"}]
    for peer, status in (("a@Capulet.example/r", 200), ("a b", 400), ("", 400)):
        async with client.post("/api/e2e/open", params={"peer": peer}) as answer:
            assert answer.status == (status if is_private else 404)
            if answer.status == 200:
                assert await answer.json() == [{"peer": "a@capulet.example/r"}]


async def test_restart_is_for_the_admin_socket_alone(
    client: aiohttp.ClientSession, node: PretendedNode, request: pytest.FixtureRequest
) -> None:
    is_private = request.node.callspec.params["client"] == "unix"
    async with client.post("/api/restart") as answer:
        assert answer.status == (200 if is_private else 405)
        if is_private:
            assert (await answer.json())["state"] == "running"
    async with client.post("/api/restart") as answer:
        assert answer.status == (400 if is_private else 405), "one at a time"
    async with client.get("/api/restart") as answer:
        assert (await answer.json())["state"] == ("running" if is_private else "")
    async with client.post("/api/restart", params={"what": "supervisor"}) as answer:
        assert answer.status == (200 if is_private else 405)
    assert node.successions == is_private


async def test_listeners_with_http_itself(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/listeners") as answer:
        listeners = await answer.json()
    assert listeners["s2s"] == ["127.0.0.1:5269"]
    (http,) = listeners["http"]
    async with aiohttp.request("GET", f"http://{http}/live") as answer:
        assert answer.status == 200


async def test_the_page_runs_nothing_and_says_nothing_of_its_making(
    client: aiohttp.ClientSession,
) -> None:
    async with client.get("/") as answer:
        assert answer.content_type == "text/html"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Server"] == "causeway"


async def test_it_is_read_only(client: aiohttp.ClientSession) -> None:
    async with client.post("/api/streams") as answer:
        assert answer.status == 405


@pytest.mark.usefixtures("client")
def test_the_admin_socket_is_private(admin: Path) -> None:
    assert admin.stat().st_mode & 0o777 == 0o600


async def test_requests_are_not_logged(
    client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "aiohttp")
    async with client.get("/live"):
        assert not [r for r in caplog.records if r.name.startswith("aiohttp")]
