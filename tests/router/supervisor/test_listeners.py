"""Listening sockets: shared by slots, not by strangers."""

import socket
from pathlib import Path

import pytest

from router.config import Address, Config, Listen, Processes
from router.supervisor.listeners import (
    ListenError,
    bound_address,
    close_listeners,
    open_exclusive,
    open_listeners,
)

ANY_PORT = Address("127.0.0.1", 0)


def config(acceptors: int = 2, **listen: tuple[Address, ...]) -> Config:
    quiet: dict[str, tuple[Address, ...]] = {"s2s": (), "s2s_direct_tls": (), "components": ()}
    return Config(
        listen=Listen(**{**quiet, **listen}), processes=Processes(acceptors, 1, Path("unused"))
    )


def test_each_slot_has_a_socket_on_the_port_the_first_was_given() -> None:
    listeners = open_listeners(config(3, s2s=(ANY_PORT,), components=(ANY_PORT,)))
    try:
        assert [listener.kind for listener in listeners] == ["s2s", "components"]
        for listener in listeners:
            assert len(listener.sockets) == 3
            assert {bound_address(sock) for sock in listener.sockets} == {listener.address}
            assert listener.address.port
        assert listeners[0].address != listeners[1].address
    finally:
        close_listeners(listeners)


@pytest.mark.parametrize("shares", [False, True])
def test_a_port_in_use_is_an_error_even_when_its_user_would_share(shares: bool) -> None:
    with socket.socket() as stranger:
        if shares:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(tuple(ANY_PORT))
        stranger.listen()
        taken = bound_address(stranger)
        with pytest.raises(ListenError, match=rf"{taken} \(s2s\): Address already in use"):
            open_listeners(config(s2s=(taken,)))


def test_what_was_open_before_the_error_is_closed() -> None:
    with socket.socket() as probe:
        probe.bind(tuple(ANY_PORT))
        free = bound_address(probe)
    with socket.socket() as stranger:
        stranger.bind(tuple(ANY_PORT))
        stranger.listen()
        with pytest.raises(ListenError):
            open_listeners(config(s2s=(free,), components=(bound_address(stranger),)))
    open_exclusive("http", free).close()


def test_the_http_socket_is_not_shared() -> None:
    with open_exclusive("http", ANY_PORT) as http, pytest.raises(ListenError, match="http"):
        open_exclusive("http", bound_address(http))


def test_all_addresses_means_ipv4_too() -> None:
    with (
        open_exclusive("http", Address("::", 0)) as everywhere,
        socket.create_connection(("127.0.0.1", bound_address(everywhere).port)) as client,
    ):
        assert client.getpeername()[0] == "127.0.0.1"


def test_both_wildcards_may_stand_side_by_side() -> None:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = bound_address(probe).port
    listeners = open_listeners(config(s2s=(Address("::", port), Address("0.0.0.0", port))))
    close_listeners(listeners)
    assert len(listeners) == 2


def test_a_host_without_ipv6_listens_on_all_its_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int = socket.AF_INET, *more: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *more)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    with open_exclusive("http", Address("::", 0)) as http:
        assert bound_address(http).host == "0.0.0.0"
    with pytest.raises(ListenError):
        open_exclusive("http", Address("::1", 0))
