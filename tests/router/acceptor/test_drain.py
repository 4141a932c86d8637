"""The orderly end: each phase closes what is its own, and is over when that is gone."""

import asyncio

import pytest

from router.acceptor import drain
from router.acceptor.drain import Drainer
from tests.support.eventually import eventually


class Stream:
    """As much of a connection as a drain sees."""

    def __init__(self, node: "Node", direction: str, leg: str, *, is_bidi: bool = False) -> None:
        self._node = node
        self.core = self
        self.is_bidi = is_bidi
        self.direction = direction
        self.leg = leg

    def close(self) -> None:
        self._node.log.append(f"close {self.direction} {self.leg}")

    def gone(self) -> None:
        self._node.streams.remove(self)


class Node:
    """An acceptor and its listener, that write down what is asked of them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.kept = 0
        self.end_to_end = self
        self.theirs = Stream(self, "in", "s2s")
        self.component = Stream(self, "in", "component")
        self.ours = Stream(self, "out", "s2s")
        self.streams = [self.ours, self.component, self.theirs]
        loop = asyncio.get_running_loop()
        self.drainer = Drainer(loop, self, self)  # type: ignore[arg-type]

    def close(self) -> None:
        self.log.append("stop listening" if "stop listening" not in self.log else "leave")

    def drain(self) -> None:
        self.log.append("open no session")

    def dial_one_way(self) -> None:
        self.log.append("dial one way")

    def begin_drain(self) -> None:
        self.log.append("dial nobody")

    def pending(self) -> int:
        return self.kept

    def connections(self) -> list[Stream]:
        return list(self.streams)

    def phase(self, number: int) -> "asyncio.Task[None]":
        return asyncio.create_task(self.drainer.phase(number))


async def test_first_the_streams_inside_others() -> None:
    node = Node()
    inner = Stream(node, "in", "e2e")
    node.streams.append(inner)
    phase = node.phase(0)
    await eventually(lambda: "close in e2e" in node.log)
    assert node.log == ["stop listening", "open no session", "close in e2e"]
    assert not phase.done()
    inner.gone()
    await phase
    assert node.log[-1] == "leave"


async def test_then_the_streams_that_peers_opened() -> None:
    node = Node()
    phase = node.phase(1)
    await eventually(lambda: "close in s2s" in node.log)
    assert node.log == ["dial one way", "close in s2s"]
    assert not phase.done()
    node.theirs.gone()
    await phase
    assert node.log == ["dial one way", "close in s2s"]


async def test_with_them_go_our_own_on_which_peers_may_send() -> None:
    node = Node()
    node.ours.is_bidi = True
    phase = node.phase(1)
    await eventually(lambda: "close in s2s" in node.log)
    assert node.log == ["dial one way", "close out s2s", "close in s2s"]
    node.theirs.gone()
    node.ours.gone()
    await phase


async def test_then_the_components() -> None:
    node = Node()
    phase = node.phase(2)
    await eventually(lambda: node.log)
    assert node.log == ["close in component"]
    node.component.gone()
    await phase


async def test_with_the_components_go_the_streams_of_servers_behind_us() -> None:
    """In phase 1 they stay: what the others still send is handed over to them."""
    node = Node()
    behind = [Stream(node, "in", "server"), Stream(node, "out", "server", is_bidi=True)]
    one_way = Stream(node, "out", "server")
    node.streams += [*behind, one_way]
    first = node.phase(1)
    await eventually(lambda: "close in s2s" in node.log)
    node.theirs.gone()
    await first
    assert not any("server" in line for line in node.log)
    second = node.phase(2)
    await eventually(lambda: "close out server" in node.log)
    assert node.log[-3:] == ["close in component", "close in server", "close out server"]
    for each in (node.component, *behind):
        each.gone()
    await second
    assert one_way in node.streams


async def test_then_it_hands_over_what_is_kept_and_serves_others_meanwhile() -> None:
    node = Node()
    node.kept = 3
    phase = node.phase(3)
    await asyncio.sleep(0)
    assert not phase.done()
    node.kept = 0
    await phase
    assert node.log == []


async def test_then_our_own_streams() -> None:
    node = Node()
    node.theirs.gone()
    phase = node.phase(4)
    await eventually(lambda: len(node.log) > 1)
    assert node.log == ["dial nobody", "close out s2s", "close in component"]
    node.ours.gone()
    assert not phase.done()
    node.component.gone()
    await phase


@pytest.mark.clause("ERR-04")
async def test_no_phase_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_HANDED_OVER_S", 0.03)
    monkeypatch.setattr(drain, "INNER_S", 0.03)
    node = Node()
    inner = Stream(node, "in", "e2e")
    node.streams.append(inner)
    node.kept = 1
    for number in (0, 1, 2, 3, 4):
        await node.phase(number)
        if inner in node.streams:
            inner.gone()
    assert node.log == [
        "stop listening",
        "open no session",
        "close in e2e",
        "leave",
        "dial one way",
        "close in s2s",
        "close in component",
        "dial nobody",
        "close out s2s",
        "close in component",
        "close in s2s",
    ]


async def test_the_last_phase_is_the_processs() -> None:
    node = Node()
    await node.phase(5)
    assert node.log == []
