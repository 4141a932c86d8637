"""Processes without a supervisor: found, waited for, and killed when they do not come."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from router.supervisor import adoption
from router.supervisor.adoption import Orphan, gather, living, slotted
from router.wire.control import Hello, Ready
from router.wire.control_link import ControlLink, rejoin
from tests.support.eventually import eventually

SLEEPER = "import signal; signal.pause()"


def sleeper(control: Path) -> "subprocess.Popen[bytes]":
    """A process that looks like the acceptor a0.3 with this control socket."""
    words = ("--control", str(control), "--slot", "0", "--incarnation", "3")
    return subprocess.Popen([sys.executable, "-c", SLEEPER, *words])


async def test_the_living_are_known_by_their_control_socket(tmp_path: Path) -> None:
    process = sleeper(tmp_path / "control.sock")
    await eventually(lambda: living(tmp_path / "control.sock") == {process.pid: "a0.3"})
    assert living(tmp_path / "other.sock") == {}
    process.kill()
    process.wait()
    assert living(tmp_path / "control.sock") == {}


async def test_who_does_not_come_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "LIMIT_S", 0.2)
    process = sleeper(tmp_path / "control.sock")
    await eventually(lambda: living(tmp_path / "control.sock"))
    assert await gather(tmp_path / "control.sock") == []
    assert process.wait(10) == -signal.SIGKILL


async def test_who_comes_is_kept_with_all_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = tmp_path / "control.sock"
    monkeypatch.setattr(adoption, "living", lambda _: {os.getpid(): "a0.3"})
    gathering = asyncio.create_task(gather(control))
    await eventually(control.exists)
    hello = Hello("a0.3", os.getpid(), "digest", ("s2s",))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = await rejoin(str(control), hello, [listening], lambda _: None, lambda: None)
        link.send(Ready())
        (orphan,) = await asyncio.wait_for(gathering, 5)
        assert orphan.hello == hello
        await eventually(lambda: orphan.messages == [Ready()])
        (kind, sock), *more = slotted([orphan])[0]
        assert (kind, sock.getsockname(), more) == ("s2s", listening.getsockname(), [])
        orphan.link.close()
        sock.close()
    await eventually(lambda: not link.is_open)


async def test_a_liar_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control = tmp_path / "control.sock"
    monkeypatch.setattr(adoption, "LIMIT_S", 0.3)
    seen = iter([{os.getpid(): "a0.3"}])
    monkeypatch.setattr(adoption, "living", lambda _: next(seen, {}))
    gathering = asyncio.create_task(gather(control))
    await eventually(control.exists)
    link = await rejoin(str(control), Hello("a0.3", 1), [], lambda _: None, lambda: None)
    assert await asyncio.wait_for(gathering, 5) == []
    await eventually(lambda: not link.is_open)


def test_of_two_in_a_slot_the_laters_sockets_count() -> None:
    def orphan(incarnation: int, sock: socket.socket) -> Orphan:
        link = ControlLink(lambda _: None, lambda: None)
        return Orphan(1, link, [sock], Hello(f"a1.{incarnation}", 1, "", ("s2s",)))

    with socket.socket() as early, socket.socket() as late:
        found = slotted([orphan(10, late), orphan(9, early)])
        assert found == {1: [("s2s", late)]}
