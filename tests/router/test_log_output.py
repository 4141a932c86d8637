"""A log that nobody reads holds nobody up, and says afterwards what is missing."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from io import StringIO

import pytest

from router.log_output import Output

LINE = "x" * 999 + "\n"


class Ends:
    """Standard error is one end; `read` takes all that has arrived at the other."""

    def __init__(self, ours: int, read: Callable[[], bytes], close: Callable[[], None]) -> None:
        self.ours = ours
        self.read = read
        self.close = close


def _pipe() -> Ends:
    theirs, ours = os.pipe()
    os.set_blocking(theirs, False)

    def read() -> bytes:
        octets = b""
        try:
            while more := os.read(theirs, 1 << 20):
                octets += more
        except BlockingIOError:
            pass
        return octets

    return Ends(ours, read, lambda: os.close(theirs))


def _socket() -> Ends:
    theirs, ours = socket.socketpair()
    theirs.setblocking(False)

    def read() -> bytes:
        octets = b""
        try:
            while more := theirs.recv(1 << 20):
                octets += more
        except BlockingIOError:
            pass
        return octets

    return Ends(ours.detach(), read, theirs.close)


@pytest.fixture(params=[_pipe, _socket])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    ends = request.param()
    yield ends
    ends.close()


@pytest.fixture
def new_output(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Output]]:
    """To be called in the test itself: pytest puts its own stderr there in between."""
    with os.fdopen(ends.ours, "w") as stderr, monkeypatch.context() as patch:
        made: list[Output] = []

        def new() -> Output:
            patch.setattr(sys, "stderr", stderr)
            made.append(Output())
            return made[0]

        yield new
        for output in made:
            output.close()


def test_a_log_that_nobody_reads_is_dropped_and_counted(
    ends: Ends, new_output: Callable[[], Output]
) -> None:
    output = new_output()
    written = 0
    while not output.dropped:
        output.write(LINE)
        written += 1
    for _ in range(4):
        output.write(LINE)
    assert output.dropped == 5
    assert os.get_blocking(ends.ours), "others write to it as well"

    octets = ends.read()
    output.write("again\n")
    octets += ends.read()
    lines = octets.decode().splitlines(keepends=True)
    assert lines[: written - 1] == [LINE] * (written - 1)
    report, last = lines[written - 1 :]
    assert json.loads(report) == {"event": "log.dropped", "level": "warning", "lines": 5}
    assert (last, output.dropped) == ("again\n", 0)


def test_a_line_taken_in_part_is_finished_before_the_next(
    ends: Ends, new_output: Callable[[], Output]
) -> None:
    output = new_output()
    long = "y" * (4 << 20) + "\n"
    output.write(long)
    assert output.dropped == 0
    output.write("dropped\n")
    assert output.dropped == 1
    octets = ends.read()
    while len(octets) < len(long):
        output.write("dropped\n")
        octets += ends.read()
    output.write("last\n")
    octets += ends.read()
    first, *others = octets.decode().splitlines(keepends=True)
    assert first == long
    assert others[-1] == "last\n"


def test_nobody_is_there_any_more(ends: Ends, new_output: Callable[[], Output]) -> None:
    output = new_output()
    ends.close()
    output.write(LINE)
    output.write(LINE)
    assert output.dropped == 0
    ends.close = lambda: None


def test_without_a_descriptor_it_is_whatever_stands_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    output = Output()
    later = StringIO()
    monkeypatch.setattr(sys, "stderr", later)
    output.write("a line\n")
    output.flush()
    assert later.getvalue() == "a line\n"
