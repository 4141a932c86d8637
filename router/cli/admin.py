"""Asking the running router through its admin socket, found through the configuration."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any, Final

from router.supervisor.run_dir import admin_socket

TIMEOUT_S: Final = 5.0


class NotRunning(Exception):
    """No router answers for this configuration."""


class Refused(Exception):
    """The router does not take the question; the text says why."""


def get(run_dir: Path, path: str) -> tuple[int, bytes]:
    """Status and body of a GET. Raises NotRunning."""
    return _request(run_dir, "GET", path)


def post(run_dir: Path, path: str) -> tuple[int, bytes]:
    """Status and body of a POST, which changes something. Raises NotRunning."""
    return _request(run_dir, "POST", path)


def get_json(run_dir: Path, path: str) -> Any:
    """The document at `path`. Raises NotRunning and Refused."""
    return _document(path, *get(run_dir, path))


def post_json(run_dir: Path, path: str) -> Any:
    """What the POST came to. Raises NotRunning and Refused."""
    return _document(path, *post(run_dir, path))


def _document(path: str, status: int, body: bytes) -> Any:
    if status == http.client.BAD_REQUEST:
        raise Refused(body.decode(errors="replace").strip())
    if status != http.client.OK:
        raise NotRunning(f"{path} answered {status}")
    return json.loads(body)


def _request(run_dir: Path, method: str, path: str) -> tuple[int, bytes]:
    connection = _UnixConnection(admin_socket(run_dir))
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        reason = "nobody listens" if isinstance(error, FileNotFoundError) else error
        raise NotRunning(f"no router answers on {admin_socket(run_dir)}: {reason}") from None
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
