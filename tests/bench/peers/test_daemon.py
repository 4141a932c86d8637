"""The daemon fixture with small processes of our own: starting, failing, ending."""

import asyncio
import os
import socket
import struct
import sys
from pathlib import Path

import pytest

from bench.peers.daemon import Daemon, DaemonError, free_port, is_listening
from tests.support.eventually import eventually

IP_LOCAL_PORT_RANGE = 51

SERVE = """
import signal, socket, sys
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("serving", flush=True)
signal.pause()
"""
COUNT = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("serving", flush=True)
while listener.accept():
    print("taken", flush=True)
"""


def python(code: str, directory: Path, *arguments: object, **settings: object) -> Daemon:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return Daemon(command, directory=directory, **{"ports": (), **settings})


async def test_it_accepts_inside_its_block_and_is_gone_after(tmp_path: Path) -> None:
    port = free_port()
    async with python(SERVE, tmp_path, port, ports=[port]) as server:
        os.kill(server.pid, 0)
        socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


async def test_a_ready_line_is_waited_for_and_only_the_last_starts_counts(tmp_path: Path) -> None:
    server = python(SERVE, tmp_path, free_port(), ready_line="serving")
    (tmp_path / "log").write_text("an earlier run: serving\n")
    async with server:
        assert server.log() == "serving\n"


async def test_an_exit_while_starting_shows_status_and_log(tmp_path: Path) -> None:
    server = python("print('no such option'); exit(3)", tmp_path, ports=[free_port()])
    with pytest.raises(DaemonError, match=r"status 3 while starting\nno such option"):
        await server.start()


async def test_one_that_never_serves_is_ended(tmp_path: Path) -> None:
    port = free_port()
    server = python(SERVE, tmp_path, port, ready_line="never said", start_timeout_s=0.5)
    with pytest.raises(DaemonError, match=r"not serving after 0\.5 s"):
        await server.start()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


async def test_one_that_ignores_sigterm_is_killed_and_told_of(tmp_path: Path) -> None:
    port = free_port()
    server = python(SERVE, tmp_path, port, "deaf", ready_line="serving", stop_timeout_s=0.1)
    await server.start()
    with pytest.raises(DaemonError, match=r"still alive 0\.1 s after SIGTERM"):
        await server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


async def test_cancelling_the_start_leaves_nothing_running(tmp_path: Path) -> None:
    server = python(SERVE, tmp_path, free_port(), ready_line="never said")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(server.start(), 0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_a_port_of_ones_own_refuses_until_somebody_listens_at_it() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    for _ in range(2):
        assert not is_listening("127.0.0.1", port)
        with socket.create_server(("127.0.0.1", port)):
            assert is_listening("127.0.0.1", port)
            assert not is_listening("127.0.0.2", port)


def test_nobody_else_is_given_a_port_of_ones_own() -> None:
    port = free_port()
    with socket.socket() as other:
        try:
            other.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=HH", port, port))
        except OSError:
            pytest.skip("to leave the kernel one port to choose from takes Linux 6.3")
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", 0))
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            pytest.raises(OSError, match="Cannot assign requested address"),
        ):
            other.connect(listener.getsockname())


async def test_to_be_ready_takes_no_connection(tmp_path: Path) -> None:
    port = free_port()
    async with python(COUNT, tmp_path, port, ports=[port], ready_line="serving") as server:
        socket.create_connection(("127.0.0.1", port)).close()
        await eventually(lambda: "taken" in server.log())
        assert server.log().split() == ["serving", "taken"]


def test_a_daemon_never_started_has_no_pid(tmp_path: Path) -> None:
    with pytest.raises(DaemonError, match="was not started"):
        _ = python(SERVE, tmp_path).pid
