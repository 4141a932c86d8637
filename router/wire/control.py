"""The control channel between the supervisor and each of its processes: messages and framing.

A Unix stream socket, `control.sock` in the run directory. Each message is a 4-byte big-endian
length and a msgpack array `[version, kind, field, …]`. No stanza ever travels here.

Both versions are spoken. Version 2 lacks some fields and kinds; only processes speak it, to a later
supervisor. Fields that version 3 got behind others since are left away while they say what goes
without saying, and a reader passes over those it does not know: so a message may grow without
another version.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

VERSION: Final = 3
OLDEST: Final = 2
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
ROWS_PER_ANSWER: Final = 2000
FACTS_PER_MESSAGE: Final = 1000

CRASHED_KEPT: Final = 16

SPOKEN: Final = 2
"""The version of the frames that a process speaks of which nothing else is said."""

BEAT_INTERVAL_S: Final = 0.25
DRAIN_BEGIN: Final = 1
DRAIN_END: Final = 5
"""What workers get of the phases of `Drain`."""

LEAVE_LIMIT_S: Final = 20
"""How long a process that said Leaving waits to be told to drain, before it drains by itself."""

ORPHAN_GRACE_S: Final = 60
"""How long a process that lost its supervisor serves on before it drains and exits 0."""
SEEK_INTERVAL_S: Final = 0.25
"""How often it looks for another one meanwhile."""
ORPHAN_DRAIN_S: Final = 20
"""How much longer a worker stays then: acceptors need workers to drain."""


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all control messages; `KIND` is the number on the wire.

    `SINCE`: earlier versions are not told such messages. `LACKS`: what goes for the fields at the
    end that version 2 lacks. `GREW`: so many fields at the end were not there when version 3 was
    made.
    """

    KIND: ClassVar[int]
    SINCE: ClassVar[int] = OLDEST
    LACKS: ClassVar[tuple[object, ...]] = ()
    GREW: ClassVar[int] = 0


# --- process → supervisor ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First message: who I am. `id` is role letter, slot, dot, incarnation: "a0.3", "w2.1".

    `config` is the digest of the snapshot I go by. To a supervisor that is to adopt me `listening`
    are the kinds of my listening sockets, which come with this message (SCM_RIGHTS), in this order.
    `speaks` is the newest version of the frames (`router.wire.frames`) that I understand.
    """

    KIND: ClassVar[int] = 1
    LACKS: ClassVar[tuple[object, ...]] = ("", (), 1)
    GREW: ClassVar[int] = 1
    id: str
    pid: int
    config: str = ""
    listening: tuple[str, ...] = ()
    speaks: int = SPOKEN


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """I serve: an acceptor's bus is open, a worker's loop turns.

    An acceptor takes connections from its sockets, which listen already, once workers know of it.
    """

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


@dataclass(frozen=True, slots=True)
class Leaving(Message):
    """I was asked to end (SIGTERM to me alone): replace me, then Drain me phase by phase."""

    KIND: ClassVar[int] = 7
    SINCE: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class Reloaded(Message):
    """Answer to Reload: I go by the snapshot now, but for what `problems` say."""

    KIND: ClassVar[int] = 8
    SINCE: ClassVar[int] = 3
    number: int
    problems: tuple[str, ...]


# --- both ways -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerFacts(Message):
    """What was learned of remote domains: (domain, fact, value, when, in seconds since the epoch).

    An acceptor tells what it learned itself; the supervisor passes it on to the other acceptors,
    and tells one that becomes ready all it knows. At most FACTS_PER_MESSAGE. Who does not know a
    fact passes over it; version 2 gives up over it, so there it is only heard, not told.
    """

    KIND: ClassVar[int] = 6
    SINCE: ClassVar[int] = 3
    facts: tuple[tuple[str, str, str, float], ...]


def peer_facts(facts: Sequence[tuple[str, str, str, float]]) -> Iterator[PeerFacts]:
    """The facts in as many messages as the bound asks for."""
    for start in range(0, len(facts), FACTS_PER_MESSAGE):
        yield PeerFacts(tuple(facts[start : start + FACTS_PER_MESSAGE]))


# --- supervisor → process ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Membership(Message):
    """Who is here and who owns which shard. To every process, on every change; versions rise.

    `acceptors` are (id, ZeroMQ endpoint) of the acceptors that are ready. `owners` holds, for each
    of the 64 shards, the id of the worker that owns it ("" for none right now); `generations`, for
    each shard, a number that rises whenever its owner changes. `retiring` acceptors get no new
    streams; `crashed` are workers that ended by a fault of their own. `speaks` is (id, newest
    version of the frames) of those that do not speak version SPOKEN.
    """

    KIND: ClassVar[int] = 20
    LACKS: ClassVar[tuple[object, ...]] = ((), (), ())
    GREW: ClassVar[int] = 1
    version: int
    acceptors: tuple[tuple[str, str], ...]
    owners: tuple[str, ...]
    generations: tuple[int, ...]
    retiring: tuple[str, ...] = ()
    crashed: tuple[str, ...] = ()
    speaks: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Ask(Message):
    """A question of the operator's, or an order. Answered by Answer.

    To acceptors: "streams"; "explain" and "close", whose arguments are a local and a remote domain.
    To workers: "pairs"; "explain", as above.
    """

    KIND: ClassVar[int] = 21
    request: int
    what: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drain(Message):
    """Close for good, phase by phase; each is answered by Drained, but not by workers.

    0: stop accepting, close the streams inside others. 1: close the s2s streams on which peers may
    send, reading on to their closing tags; what opens from now on carries nothing back. Workers:
    wait no more for hosted domains that are away. They get 1 and 5 alone. 2: close the component
    streams likewise. 3: hand over what is kept; others may still need our streams for theirs.
    4: close our own streams. 5: send a last Beat and end, exit code 0.
    """

    KIND: ClassVar[int] = 22
    phase: int


@dataclass(frozen=True, slots=True)
class Reload(Message):
    """The snapshot has changed: read it, go by it, answer by Reloaded.

    Streams that the change does not concern are left alone; those of domains that are not hosted
    any more end with host-gone (RFC 6120 §4.9.3.5).
    """

    KIND: ClassVar[int] = 23
    SINCE: ClassVar[int] = 3
    number: int
