"""The control channel between the supervisor and each of its processes: messages and framing.

A Unix stream socket, `control.sock` in the run directory. Each message is a 4-byte big-endian
length and a msgpack array `[version, kind, field, …]`. No stanza ever travels here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

VERSION: Final = 1
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
ROWS_PER_ANSWER: Final = 2000

BEAT_INTERVAL_S: Final = 0.25
ORPHAN_GRACE_S: Final = 60
"""How long a process that lost its supervisor serves on before it drains and exits 0."""
ORPHAN_DRAIN_S: Final = 20
"""How much longer a worker stays then: acceptors need workers to drain."""


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all control messages; `KIND` is the number on the wire."""

    KIND: ClassVar[int]


# --- process → supervisor ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First message: who I am. `id` is role letter, slot, dot, incarnation: "a0.3", "w2.1"."""

    KIND: ClassVar[int] = 1
    id: str
    pid: int


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """I serve: an acceptor's listeners and bus are open, a worker's loop turns."""

    KIND: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Beat(Message):
    """Every 250 ms, from the loop whose life it proves, with all its counters.

    `counters` is `router.metrics.Counters.snapshot()`: rows of (name, labels, value).
    """

    KIND: ClassVar[int] = 3
    counters: tuple[tuple[str, tuple[str, ...], float], ...]


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """Answer to Ask: rows of plain values, to show. `more`: another Answer follows."""

    KIND: ClassVar[int] = 4
    request: int
    rows: tuple[dict[str, object], ...]
    more: bool = False


def answers(request: int, rows: Sequence[dict[str, object]]) -> Iterator[Answer]:
    """The rows in as many answers as the bound on a message's size asks for, at least one."""
    for start in range(0, max(1, len(rows)), ROWS_PER_ANSWER):
        end = start + ROWS_PER_ANSWER
        yield Answer(request, tuple(rows[start:end]), more=end < len(rows))


@dataclass(frozen=True, slots=True)
class Drained(Message):
    """The drain phase asked for has been completed here."""

    KIND: ClassVar[int] = 5
    phase: int


# --- supervisor → process ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Membership(Message):
    """Who is here and who owns which shard. To every process, on every change; versions rise.

    `acceptors` are (id, ZeroMQ endpoint) of the acceptors that are ready. `owners` holds, for each
    of the 64 shards, the id of the worker that owns it ("" for none right now); `generations`, for
    each shard, a number that rises whenever its owner changes.
    """

    KIND: ClassVar[int] = 20
    version: int
    acceptors: tuple[tuple[str, str], ...]
    owners: tuple[str, ...]
    generations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ask(Message):
    """A question of the operator's; `what` is "streams" or "pairs". Answered by Answer."""

    KIND: ClassVar[int] = 21
    request: int
    what: str


@dataclass(frozen=True, slots=True)
class Drain(Message):
    """Close for good, phase by phase; each is answered by Drained. Workers get phase 4 alone.

    1: stop accepting, close the s2s streams that peers opened, reading on to their closing tags.
    2: close the component streams likewise. 3: close our own streams once all is handed over.
    4: send a last Beat and end the process, exit code 0.
    """

    KIND: ClassVar[int] = 22
    phase: int
