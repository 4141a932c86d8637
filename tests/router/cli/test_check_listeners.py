"""The listen addresses before a start, and while our own router has them."""

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from router.cli.check_listeners import listeners
from router.config import Address, Config, E2e, Listen, Processes

HOST = "127.0.0.1"
Pretend = Callable[[str, int, bytes], None]


def config(run_dir: Path, port: int) -> Config:
    listen = Listen((Address(HOST, port),), (), (), Address(HOST, 0))
    return Config(listen=listen, processes=Processes(1, 1, run_dir))


def test_free_then_refused(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        (refused,) = listeners(config(tmp_path, port))
    assert (refused["kind"], refused["state"]) == ("s2s", "refused")
    assert "Address already in use" in refused["reason"]
    assert [each["state"] for each in listeners(config(tmp_path, port))] == ["free"]


def test_a_port_that_our_router_holds_is_well(tmp_path: Path, pretend_router: Pretend) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        body = json.dumps({"s2s": [f"{HOST}:{port}"], "http": ["127.0.0.1:1"]})
        pretend_router("/api/listeners", 200, body.encode())
        assert [each["state"] for each in listeners(config(tmp_path, port))] == ["held"]


def test_a_port_that_our_router_holds_for_something_else(
    tmp_path: Path, pretend_router: Pretend
) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        body = json.dumps({"components": [f"{HOST}:{port}"]})
        pretend_router("/api/listeners", 200, body.encode())
        assert [each["state"] for each in listeners(config(tmp_path, port))] == ["refused"]


def test_the_port_for_bytestreams_is_looked_at_while_no_router_runs(
    tmp_path: Path, pretend_router: Pretend
) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        lanes = replace(config(tmp_path, 0), e2e=E2e("r.example", socks5=(Address(HOST, port),)))
        (refused,) = listeners(lanes)
        assert (refused["kind"], refused["state"]) == ("socks5", "refused")
        pretend_router("/api/listeners", 200, json.dumps({"http": ["127.0.0.1:1"]}).encode())
        assert listeners(lanes) == []
