"""The two ends of a measurement, both in this process: what is sent here is timed there.

`Timed` gives the load generator's ends an `Inbox` that times what arrives; `joined` and `relayed`
connect two of them without a server in between, which shows what the generator itself adds. Called
by `course` and `measure`.
"""

import asyncio
import re
import time
from array import array
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from OpenSSL import SSL

from bench.accepting import HOST, Accepting, Bare, Dialled, Listener
from bench.peers.haproxy import Haproxy, Way
from bench.remote import MARK, Component, Load, Remote, Tally, chat
from bench.steady import numbered
from router.acceptor.layer import Transport
from router.xmpp.events import Event, RunReceived

HANDSHAKE_TIMEOUT_S: Final = 10.0
MOST_NUMBERS: Final = 10_000_000
_NUMBER: Final = re.compile(rb" id=['\"]n(\d{7})['\"]")
_ZERO: Final = b"0000000"
_NOT_YET: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Template:
    """A chat message around its number."""

    before: bytes
    after: bytes

    @classmethod
    def between(cls, sender: str, target: str) -> "Template":
        """`bench.remote.chat` from one domain to the other."""
        before, _, after = numbered(chat(sender, target), 0).partition(_ZERO)
        return cls(before, after)

    def of(self, numbers: Iterable[int]) -> bytes:
        """One stanza for each number, of seven digits at most."""
        return b"".join(b"%b%07d%b" % (self.before, number, self.after) for number in numbers)


class Watch:
    """When each stanza of one measurement was due, and how long it took.

    Numbers start at `first`; what arrives of an earlier measurement is ignored. `due_s` holds
    points of `time.monotonic`. `latency_s` is not a number for what has not arrived.
    """

    def __init__(self, first: int, due_s: "array[float]") -> None:
        if first + len(due_s) > MOST_NUMBERS:
            raise ValueError("a stanza's number has seven digits")
        self.first = first
        self.due_s = due_s
        self.latency_s = array("d", (_NOT_YET for _ in due_s))
        self.arrived = 0
        self.last_s = 0.0
        self.complete = asyncio.Event()
        self.awaited: asyncio.Future[None] | None = None
        """Set to a future to be told of the next arrival."""

    def take(self, numbers: Iterable[int], now_s: float) -> None:
        """These arrived now."""
        for number in numbers:
            place = number - self.first
            if place >= 0 and self.latency_s[place] != self.latency_s[place]:
                self.latency_s[place] = now_s - self.due_s[place]
                self.arrived += 1
        self.last_s = now_s
        if self.arrived == len(self.due_s):
            self.complete.set()
        if self.awaited is not None and not self.awaited.done():
            self.awaited.set_result(None)


class Inbox:
    """What one side hears, on whichever of its connections: it is timed, or sent back."""

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self.send_back: Callable[[list[int]], None] | None = None

    def take(self, numbers: list[int], now_s: float) -> None:
        """These arrived now."""
        if self.send_back is not None:
            self.send_back(numbers)
        elif self.watch is not None:
            self.watch.take(numbers, now_s)

    def lost(self) -> None:
        """A connection is gone: nobody need wait for what will not come."""
        if self.watch is not None:
            self.watch.complete.set()


class Timed(Load):
    """An end whose `inbox` gets the numbers of what arrives; to be set before anything does."""

    inbox: Inbox
    _rest: bytes = b""

    def count(self, octets: bytes) -> None:
        """Hand over what is complete."""
        now_s = time.monotonic()
        *whole, self._rest = (self._rest + octets).split(MARK)
        numbers = [int(found[1]) for stanza in whole if (found := _NUMBER.search(stanza))]
        if numbers:
            self.inbox.take(numbers, now_s)

    def counted(self, events: list[Event], octets: bytes) -> None:
        """As `count`, for the octets with which the negotiation ended."""
        self.count(b"".join(each.octets for each in events if isinstance(each, RunReceived)))
        self._rest = octets[octets.rfind(MARK) + 1 :]

    def send_now(self, octets: bytes) -> None:
        """Write without waiting for the end of the turn. Raises ConnectionError."""
        self.write(octets)
        if self._layer is not None:
            self._layer.flush()

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody need wait for what will not come."""
        super().connection_lost(error)
        self.inbox.lost()


class TimedRemote(Timed, Remote):
    """A remote server that dials."""


class TimedComponent(Timed, Component):
    """A component."""


class TimedBare(Timed, Bare):
    """An end without XMPP."""


class _TimedDialled(Timed, Dialled):
    """A stream that the server under test opened."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Both sides: who sends on each, and what each hears."""

    outer: Timed
    outer_inbox: Inbox
    inner: Timed
    inner_inbox: Inbox


def accepting(contexts: dict[str, SSL.Context], inbox: Inbox) -> Accepting:
    """Remote domains that take what a server without bidi dials; `inbox` gets what arrives."""
    home = Accepting(contexts)

    def take(transport: Transport) -> None:
        stream = _TimedDialled(home, transport)
        stream.inbox = inbox
        home.streams.add(stream)

    home.listener = Listener(take)
    return home


@asynccontextmanager
async def joined(client: SSL.Context, server: SSL.Context) -> AsyncIterator[Ends]:
    """Two ends of one TLS connection on loopback."""
    arrived = _Arrived(server)
    async with Listener(arrived.take) as listener, _dialled(listener.port, client, arrived) as ends:
        yield ends


@asynccontextmanager
async def relayed(
    client: SSL.Context, certificate: Path, directory: Path
) -> AsyncIterator[tuple[Ends, Haproxy]]:
    """The same with a HAProxy between: TLS to it, plain from it, as to a component."""
    arrived = _Arrived(None)
    async with Listener(arrived.take) as listener:
        ways = {"relay": Way(listener.port, takes_tls=True, gives_tls=False)}
        relay = Haproxy(directory, certificate=certificate, ways=ways)
        async with relay, _dialled(relay.ports_of["relay"], client, arrived) as ends:
            yield ends, relay


class _Arrived:
    """The accepted end, once there is one."""

    def __init__(self, context: SSL.Context | None) -> None:
        self.inbox = Inbox()
        self.end: asyncio.Future[TimedBare] = asyncio.get_running_loop().create_future()
        self._context = context

    def take(self, transport: Transport) -> None:
        end = TimedBare(transport, self._context, server_side=True, tally=Tally())
        end.inbox = self.inbox
        self.end.set_result(end)


@asynccontextmanager
async def _dialled(port: int, context: SSL.Context, arrived: _Arrived) -> AsyncIterator[Ends]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, HOST, port)
    near = TimedBare(transport, context, server_side=False, tally=Tally())
    near.inbox = Inbox()
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            far = await arrived.end
            await asyncio.gather(near.ready.wait(), far.ready.wait())
        for end in (near, far):
            if end.closed is not None:
                raise ConnectionError(end.closed.text)
        yield Ends(near, near.inbox, far, far.inbox)
        far.close()
    finally:
        near.close()
