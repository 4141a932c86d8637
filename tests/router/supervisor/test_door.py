"""New links, with the sockets that come with their first octets."""

import asyncio
import os
import socket
from pathlib import Path

from router.supervisor.door import Door, Newcomer
from router.wire.control import Hello, Message, Ready
from router.wire.control_link import connect, rejoin
from tests.support.eventually import eventually


class Hall:
    """Whoever came through the door, and what they said."""

    def __init__(self, path: Path) -> None:
        self.came: list[Newcomer] = []
        self.heard: list[Message] = []
        self.lost = asyncio.Event()
        self.door = Door(path, self.greet)

    def greet(self, newcomer: Newcomer) -> None:
        newcomer.link.hand_to(self.heard.append, self.lost.set)
        self.came.append(newcomer)


async def test_a_link_begins_with_its_first_message_and_is_private(tmp_path: Path) -> None:
    hall = Hall(tmp_path / "control.sock")
    assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600
    link = await connect(str(tmp_path / "control.sock"), lambda _: None, lambda: None)
    link.send(Hello("a0.1", 7))
    link.send(Ready())
    await eventually(lambda: hall.heard == [Hello("a0.1", 7), Ready()])
    assert (hall.came[0].pid, hall.came[0].sockets) == (os.getpid(), [])
    link.close()
    await asyncio.wait_for(hall.lost.wait(), 5)
    hall.door.close()


async def test_listening_sockets_come_along_and_the_answer_goes_back(tmp_path: Path) -> None:
    hall = Hall(tmp_path / "control.sock")
    told: list[Message] = []
    hello = Hello("a0.1", 7, "", ("s2s",))
    with socket.create_server(("127.0.0.1", 0)) as ours:
        link = await rejoin(
            str(tmp_path / "control.sock"), hello, [ours], told.append, lambda: None
        )
        await eventually(lambda: hall.heard == [hello])
        (theirs,) = hall.came[0].sockets
        assert theirs.getsockname() == ours.getsockname()
        assert theirs.fileno() != ours.fileno()
        hall.came[0].link.send(Ready())
        await eventually(lambda: told == [Ready()])
        link.close()
        hall.came[0].close()
    hall.door.close()


async def test_who_says_nothing_is_let_go_with_the_door(tmp_path: Path) -> None:
    hall = Hall(tmp_path / "control.sock")
    lost = asyncio.Event()
    await connect(str(tmp_path / "control.sock"), lambda _: None, lost.set)
    await eventually(lambda: hall.door._silent)
    hall.door.close()
    await asyncio.wait_for(lost.wait(), 5)
    assert hall.came == []


async def test_a_socket_that_was_left_behind_is_no_hindrance(tmp_path: Path) -> None:
    Hall(tmp_path / "control.sock").door.close()
    Hall(tmp_path / "control.sock").door.close()
