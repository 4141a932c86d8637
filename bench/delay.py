"""A TCP relay that makes loopback as long as a real path, and counts what goes through it.

Delays octets by half the round trip each way, and what a dialler says first by the whole one that
SYN and SYN-ACK take; keeps their order. It has no bandwidth, loss or slow start. Called by `bidi`.
"""

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, cast

from bench.tcp_info import MSS_BYTES, NOTHING, HasOptions, Wire, wire

HOST: Final = "127.0.0.1"
MAX_HELD_BYTES: Final = 16 * 1024 * 1024
"""Per direction of a connection; then the relay reads no more until some of it has left."""

_TIMER_S: Final = 0.0005  # half the resolution of the loop's timers: what is due by then goes now
_TIMESTAMPS_BYTES: Final = 12
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Counts:
    """What passed a relay: connections, those of them that began TLS, and the wire."""

    connections: int = 0
    tls_handshakes: int = 0
    wire: Wire = NOTHING

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.connections + other.connections,
            self.tls_handshakes + other.tls_handshakes,
            self.wire + other.wire,
        )


class Relay:
    """A port in front of `target`, from `async with` to its end.

    `rtt_s` is the round trip of the path; `target` is dialled anew for each connection and may be
    set until then. The wire is that between the dialler and the relay.
    """

    def __init__(self, rtt_s: float = 0.0, target: tuple[str, int] = (HOST, 0)) -> None:
        self.rtt_s = rtt_s
        self.target = target
        self.port = 0
        self._passed = Counts()
        self._open: set[_Passage] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self._dials: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        listening = socket.socket()
        # Loopback's segments would be as large as 64 KiB; those accepted inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MSS_BYTES + _TIMESTAMPS_BYTES)
        listening.bind((HOST, 0))
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=listening, backlog=_BACKLOG)
        self.port = listening.getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.drop()
        await self._server.wait_closed()

    def counts(self) -> Counts:
        """All so far: of connections that stand, and of those that have gone."""
        return sum((passage.counts() for passage in self._open), self._passed)

    @property
    def standing(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    async def drop(self) -> None:
        """Reset every connection, and begin to count anew once they are gone."""
        for dial in self._dials:
            dial.cancel()
        for passage in list(self._open):
            passage.abort()
        await self._empty.wait()
        self._passed = Counts()

    def _accept(self) -> asyncio.Protocol:
        passage = _Passage(self)
        self._open.add(passage)
        self._empty.clear()
        return passage.near

    def dial(self, passage: "_Passage") -> None:
        """Connect a passage to the target, when the SYN would be there."""
        task = asyncio.create_task(self._dial(passage))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, passage: "_Passage") -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.rtt_s / 2)
        try:
            await loop.create_connection(lambda: passage.far, *self.target)
        except OSError:
            await asyncio.sleep(self.rtt_s / 2)
            passage.abort()

    def over(self, passage: "_Passage") -> None:
        """Both ends of it have gone."""
        if passage not in self._open:
            return
        self._passed += passage.counts()
        self._open.discard(passage)
        if not self._open:
            self._empty.set()


def is_client_hello(octets: bytes) -> bool:
    """Whether TLS begins here (RFC 8446 sections 4 and 5.1)."""
    return octets[:2] == b"\x16\x03" and octets[5:6] == b"\x01"


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection by RST. `abort` alone ends it like any other, as far as the peer can see."""
    linger = struct.pack("ii", 1, 0)
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    cast(asyncio.Transport, transport).abort()


class _Passage:
    """One connection through the relay: the end that was accepted and the one that was dialled."""

    def __init__(self, relay: Relay) -> None:
        loop = asyncio.get_running_loop()
        # What the dialler says before SYN-ACK could be here would wait for it.
        self.near = _End(self, relay.rtt_s / 2, loop.time() + relay.rtt_s)
        self.far = _End(self, relay.rtt_s / 2, 0.0)
        self.near.other, self.far.other = self.far, self.near
        self.began_tls = False
        self._relay = relay
        self._last_wire = NOTHING
        self._socket: HasOptions | None = None

    def counts(self) -> Counts:
        """Of this one, as of now or of its end."""
        if self._socket is not None:
            with suppress(OSError):
                self._last_wire = wire(self._socket)
        return Counts(1, int(self.began_tls), self._last_wire)

    def connected(self, end: "_End") -> None:
        """An end is there."""
        if end is self.near:
            assert end.transport is not None
            self._socket = end.transport.get_extra_info("socket")
            self._relay.dial(self)
        elif self.near.is_gone:
            self.abort()
        else:
            self.near.deliver()

    def gone(self, end: "_End") -> None:
        """An end has no connection any more."""
        if end is self.near:
            self.counts()
            self._socket = None
        if self.near.is_gone and (self.far.is_gone or self.far.transport is None):
            self._relay.over(self)

    def both_said_end(self) -> bool:
        """Whether the end of both directions has been passed on."""
        return self.near.passed_end and self.far.passed_end

    def close(self) -> None:
        """Close both ends once all is written."""
        for end in (self.near, self.far):
            if end.transport is not None:
                end.transport.close()

    def abort(self) -> None:
        """Reset both ends."""
        for end in (self.near, self.far):
            if end.transport is not None and not end.is_gone:
                reset(end.transport)


class _End(asyncio.Protocol):
    """One socket of a passage: keeps what it reads until it is due at the other."""

    other: "_End"

    def __init__(self, passage: _Passage, delay_s: float, not_before_s: float) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_gone = False
        self.passed_end = False
        self._passage = passage
        self._delay_s = delay_s
        self._not_before_s = not_before_s
        self._held: deque[tuple[float, bytes]] = deque()  # no octets: the end of this direction
        self._held_bytes = 0
        self._may_write = True
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._passage.connected(self)

    def data_received(self, data: bytes) -> None:
        if self is self._passage.near and is_client_hello(data):
            self._passage.began_tls = True
        self._hold(data)
        if self._held_bytes > MAX_HELD_BYTES and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._hold(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        if not self._passage.both_said_end():
            # A reset: it takes as long as anything else, and what is held is lost with it.
            self._loop.call_later(self._delay_s, self._passage.abort)
        self._passage.gone(self)

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self.other.deliver()

    def _hold(self, octets: bytes) -> None:
        sent_s = max(self._loop.time(), self._not_before_s)
        self._held.append((sent_s + self._delay_s, octets))
        self._held_bytes += len(octets)
        self.deliver()

    def deliver(self) -> None:
        """Write what is due at the other end, and come again for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        to = self.other
        if to.transport is None or to.is_gone:
            return
        while self._held and to._may_write:
            due_s, octets = self._held[0]
            if (left_s := due_s - self._loop.time()) >= _TIMER_S:
                self._timer = self._loop.call_later(left_s, self.deliver)
                return
            self._held.popleft()
            self._pass_on(to.transport, octets)

    def _pass_on(self, to: asyncio.Transport, octets: bytes) -> None:
        if octets:
            to.write(octets)
            was_full = self._held_bytes > MAX_HELD_BYTES
            self._held_bytes -= len(octets)
            if was_full and self._held_bytes <= MAX_HELD_BYTES and self.transport is not None:
                self.transport.resume_reading()
            return
        self.passed_end = True
        to.write_eof()
        if self._passage.both_said_end():
            self._passage.close()
