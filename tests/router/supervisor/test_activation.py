"""Sockets from a service manager: taken by name, or refused with the reason."""

import os
import socket
from collections.abc import Iterator

import pytest

from router.config import Address, Config, Listen, Processes
from router.supervisor import activation
from router.supervisor.activation import activated
from router.supervisor.listeners import ListenError, close_listeners, open_listeners


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A listening socket, where the service manager would have put it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        given = os.dup(sock.fileno())
        monkeypatch.setattr(activation, "_FIRST", given)
        yield sock


def environ(**changes: str) -> dict[str, str]:
    return {"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "s2s", **changes}


def test_a_socket_is_known_by_its_name(passed: socket.socket) -> None:
    variables = environ()
    (taken,) = activated(variables, 7)["s2s"]
    assert taken.getsockname() == passed.getsockname()
    assert not taken.get_inheritable()
    assert variables == {}, "children are not to take them for theirs"
    taken.close()


def test_the_slots_share_it(passed: socket.socket) -> None:
    config = Config(
        listen=Listen((Address("127.0.0.1", 1),), (), (), Address("127.0.0.1", 0)),
        processes=Processes(acceptors=2, workers=1),
    )
    (listener,) = open_listeners(config, activated(environ(), 7))
    assert listener.address == Address(*passed.getsockname())
    assert len(listener.sockets) == 2
    assert len({sock.fileno() for sock in listener.sockets}) == 2
    close_listeners([listener])


@pytest.mark.parametrize("changes", [{"LISTEN_PID": "8"}, {"LISTEN_FDS": ""}, {"LISTEN_PID": ""}])
def test_nothing_for_us(changes: dict[str, str]) -> None:
    assert activated(environ(**changes), 7) == {}


@pytest.mark.parametrize("name", ["", "http", "socket"])
def test_a_name_that_says_nothing_is_refused(passed: socket.socket, name: str) -> None:
    with pytest.raises(ListenError, match="FileDescriptorName="):
        activated(environ(LISTEN_FDNAMES=name), 7)
    os.close(activation._FIRST)


def test_a_socket_that_does_not_listen_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as idle:
        monkeypatch.setattr(activation, "_FIRST", os.dup(idle.fileno()))
        with pytest.raises(ListenError, match="does not listen"):
            activated(environ(), 7)
