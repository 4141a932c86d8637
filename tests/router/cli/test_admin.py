"""Asking over a Unix socket, and nobody there."""

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.cli.admin import NotRunning, Refused, get, get_json, post_json

ANSWERS = {
    "/ok": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1,2]",
    "/no": b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nwhy\n",
    "/bad": b"HTTP/1.1 400 Bad\r\nContent-Length: 18\r\n\r\nremote is missing\n",
    "/garbage": b"SSH-2.0-other\r\n",
}

DONE = b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"done"'


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        method, path, _ = self.rfile.readline().decode().split()
        self.wfile.write(DONE if method == "POST" else ANSWERS[path])


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    with socketserver.UnixStreamServer(str(tmp_path / "admin.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield tmp_path
        server.shutdown()
        thread.join()


def test_status_and_body(run_dir: Path) -> None:
    assert get(run_dir, "/no") == (503, b"why\n")


def test_json(run_dir: Path) -> None:
    assert get_json(run_dir, "/ok") == [1, 2]
    with pytest.raises(NotRunning, match="503"):
        get_json(run_dir, "/no")


def test_a_refusal_says_why(run_dir: Path) -> None:
    with pytest.raises(Refused, match=r"^remote is missing$"):
        get_json(run_dir, "/bad")


def test_post(run_dir: Path) -> None:
    assert post_json(run_dir, "/ok") == "done"


def test_something_else_answers(run_dir: Path) -> None:
    with pytest.raises(NotRunning, match="no router answers"):
        get(run_dir, "/garbage")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="nobody listens"):
        get(tmp_path, "/ready")
