"""Endpoints differ whenever ids do, and fit into a socket address."""

from pathlib import Path

from router.wire.endpoints import bus_endpoint


def test_an_endpoint_lies_in_the_run_dir_and_names_the_incarnation() -> None:
    assert bus_endpoint(Path("/run/c"), "a0.3") == "ipc:///run/c/a0.3.bus"
    assert bus_endpoint(Path("/run/c"), "a0.3") != bus_endpoint(Path("/run/c"), "a0.4")


def test_the_longest_run_dir_allowed_leaves_room() -> None:
    path = bus_endpoint(Path("/" + "r" * 89), "a63.9999999").removeprefix("ipc://")
    assert len(path) <= 107
