"""The generator's ends: they record what arrives, come back when cut off, read as slow as told.

A `Road` is one stream that the generator opens, with what waits to be written to it. Streams that
the node opens are taken by `home`. Called by `stage`.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final, Self, cast

from OpenSSL import SSL

from bench.accepting import HOST, Accepting, Dialled, Listener
from bench.faults.recorder import Recorder
from bench.faults.traffic import Parser
from bench.remote import CHUNK_BYTES, Component, Load, Remote
from router.acceptor.layer import Transport
from router.xmpp import names
from router.xmpp.events import Event, RunReceived

LEAVING_S: Final = 10.0
AGAIN_S: Final = 0.05
CONNECTING_S: Final = 5.0
ANSWERED_POLL_S: Final = 0.005
SMALL_BUFFER_BYTES: Final = 8192
REQUEST: Final = f"<r xmlns='{names.STREAM_MANAGEMENT}'/>".encode()
REQUEST_EVERY: Final = 50
_REMEMBERED: Final = 20_000


class Hearing(Load):
    """An end that tells the recorder what arrives at its domain."""

    def serve(self, recorder: Recorder, domain: str) -> Self:
        """To be called before anything arrives; the domain may be named later."""
        self._recorder = recorder
        self.domain = domain
        self._parser = Parser()
        self._bytes_per_s: float | None = None
        self._is_leaving = False
        self.is_in_order = False
        """Whether the node has ended the stream by its closing tag."""
        self.stream_error = ""
        self.is_managed = False
        """Whether the node acknowledges our stanzas, or wants its own acknowledged (XEP-0198)."""
        self.acknowledged = 0
        """Of our stanzas on this stream."""
        self.ended = asyncio.Event()
        """The stream is over, in order or not."""
        return self

    def count(self, octets: bytes) -> None:
        """Record what is complete; end the stream when the node does."""
        numbers, bounces = self._parser.feed(octets)
        self._recorder.delivered(numbers, self.domain)
        for bounce in bounces:
            self._recorder.bounced(bounce, self.domain)
        self._recorder.strange += self._parser.strange
        self._parser.strange = 0
        if self._bytes_per_s:
            self._rest_after(len(octets) / self._bytes_per_s)
        if self._parser.is_over and not self.is_in_order:
            self.is_in_order = True
            self.stream_error = self._parser.stream_error
            self.ended.set()
            self._answer_the_end()

    def _answer_the_end(self) -> None:
        if not self._is_leaving:
            self.close()
        elif self._layer is not None:
            self._layer.close()

    async def leave(self, patience_s: float) -> None:
        """As `Load` does."""
        self._is_leaving = True
        await super().leave(patience_s)

    def counted(self, events: list[Event], octets: bytes) -> None:
        """As `count`, for the octets with which the negotiation ended."""
        self.count(b"".join(each.octets for each in events if isinstance(each, RunReceived)))
        self._parser.skip(octets)

    def connection_lost(self, error: Exception | None) -> None:
        """As `Load` does."""
        super().connection_lost(error)
        self.ended.set()

    def read_at(self, bytes_per_s: float | None) -> None:
        """From now on read so much; 0 is nothing, None as fast as it comes."""
        self._bytes_per_s = bytes_per_s
        if self._layer is None:
            return
        if bytes_per_s is not None:
            self._take_little()
        if bytes_per_s == 0:
            self._layer.pause_reading()
        else:
            self._layer.resume_reading()

    def name(self) -> tuple[str, int]:
        """Our address on this connection. Raises ConnectionError when it is gone."""
        name: tuple[str, int] = self._wire().getsockname()
        return name[:2]

    def peer_name(self) -> tuple[str, int]:
        """The node's. Raises ConnectionError when the connection is gone."""
        name: tuple[str, int] = self._wire().getpeername()
        return name[:2]

    def _wire(self) -> socket.socket:
        if self._layer is None:
            raise ConnectionError("the connection is gone")
        transport = cast(asyncio.Transport, self._layer.transport)
        return cast(socket.socket, transport.get_extra_info("socket"))

    def _take_little(self) -> None:
        """The kernel is to keep little for us, or it would read in our place."""
        self._wire().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)

    def _rest_after(self, seconds: float) -> None:
        if self._layer is not None:
            self._layer.pause_reading()
            asyncio.get_running_loop().call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        if self._layer is not None and self._bytes_per_s != 0:
            self._layer.resume_reading()


class HearingRemote(Hearing, Remote):
    """A remote server that dials."""


class HearingComponent(Hearing, Component):
    """A component."""


class HearingDialled(Hearing, Dialled):
    """A stream that the node opened to a remote domain."""

    def count(self, octets: bytes) -> None:
        """Now it is known for which domain."""
        if not self.domain:
            self.domain = self._core.local
            if isinstance(self._home, Home) and self.domain in self._home.paces:
                self.read_at(self._home.paces[self.domain])
        super().count(octets)


class Home(Accepting):
    """The remote domains' own port, for streams that the node opens."""

    def __init__(self, contexts: dict[str, SSL.Context], recorder: Recorder) -> None:
        super().__init__(contexts)
        self.paces: dict[str, float] = {}
        """Octets a second that a domain reads, on streams to come, too; others as it comes."""
        self.opened = 0

        self._recorder = recorder

        def take(transport: Transport) -> None:
            self.opened += 1
            self.streams.add(self.new_stream(transport))

        self.listener = Listener(take)

    def new_stream(self, transport: Transport) -> Dialled:
        """An end for a stream that the node opens."""
        return HearingDialled(self, transport).serve(self._recorder, "")

    def read_at(self, domain: str, bytes_per_s: float | None) -> None:
        """From now on the domain reads so much; None is as fast as it comes."""
        self.paces.pop(domain, None)
        if bytes_per_s is not None:
            self.paces[domain] = bytes_per_s
        for stream in self.to({domain}):
            stream.read_at(bytes_per_s)

    def to(self, domains: Collection[str]) -> list[HearingDialled]:
        """Streams that the node has opened to these domains and that have carried something."""
        return [
            each
            for each in self.streams
            if isinstance(each, HearingDialled) and each.domain in domains
        ]


End = HearingRemote | HearingComponent
Opening = Callable[[], End]


class Road:
    """One stream that comes back by itself; what cannot be written yet waits here, in order.

    `port` is asked for at every connection. What was written to a stream that is then cut off is
    reported to the recorder.
    """

    def __init__(self, open_end: Opening, port: Callable[[], int], recorder: Recorder) -> None:
        self._open_end = open_end
        self._port = port
        self._recorder = recorder
        self._waiting: deque[int] = deque()
        self._written: deque[int] = deque()
        """To the stream that there is, as far as their outcome is open, or not acknowledged."""
        self._acknowledged = 0
        self._unrequested = 0
        self._keeping: asyncio.Task[None] | None = None
        self.end: End | None = None
        self.reopened = 0
        self.last_error = ""
        """The condition with which the node last ended the stream, if it gave one."""

    @property
    def waiting(self) -> int:
        """Stanzas not written yet."""
        return len(self._waiting)

    def send(self, number: int) -> None:
        """Once there is a way and the node takes more; `flush` writes it."""
        self._waiting.append(number)

    def flush(self) -> None:
        """Write what may be written."""
        end, waiting, recorder = self.end, self._waiting, self._recorder
        if not waiting or end is None or end.ended.is_set() or not end.may_write:
            return
        self._forget_acknowledged(end)
        size = 0
        stanzas: list[bytes] = []
        while waiting and size < CHUNK_BYTES:
            number = waiting.popleft()
            stanzas.append(recorder.flow_of(number).stanza(number))
            size += len(stanzas[-1])
            recorder.sent(number)
            self._written.append(number)
        if end.is_managed:
            self._unrequested += len(stanzas)
            if self._unrequested >= REQUEST_EVERY:
                stanzas.append(REQUEST)
                self._unrequested = 0
        elif len(self._written) > _REMEMBERED:
            self._written = deque(filter(recorder.is_open, self._written))
        end.write(b"".join(stanzas))

    def _forget_acknowledged(self, end: End) -> None:
        while self._acknowledged < end.acknowledged and self._written:
            self._written.popleft()
            self._acknowledged += 1

    def give_up(self) -> int:
        """Forget what waits; how many that were."""
        count = len(self._waiting)
        self._waiting.clear()
        return count

    async def open(self) -> None:
        """Connect, and from now on again and again. Raises ConnectionError, OSError."""
        self.end = await self._connected()
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Leave for good, in order."""
        if self._keeping is not None:
            self._keeping.cancel()
        end, self.end = self.end, None
        if end is not None:
            await end.leave(LEAVING_S)

    async def leave(self, answered_within_s: float = 0.0) -> None:
        """End the stream in order; it comes back by itself.

        Before, wait so long at most until all it brought has an outcome: order does not go over
        from one stream to the next.
        """
        end, self.end = self.end, None
        if end is not None:
            patient_until_s = time.monotonic() + answered_within_s
            while time.monotonic() < patient_until_s:
                if not any(map(self._recorder.is_open, self._written)):
                    break
                await asyncio.sleep(ANSWERED_POLL_S)
            await end.leave(LEAVING_S)
            end.ended.set()

    async def _connected(self) -> End:
        end = self._open_end()
        async with asyncio.timeout(CONNECTING_S):
            await end.connect(HOST, self._port())
        if end.closed is not None or end.lost.is_set():
            raise ConnectionError(f"the node refused the generator: {end.closed}")
        return end

    async def _keep(self) -> None:
        while True:
            if (end := self.end) is not None:
                await end.ended.wait()
                self._gone(end)
            await asyncio.sleep(AGAIN_S)
            with suppress(OSError, TimeoutError):
                if self.end is None:
                    self.end = await self._connected()
                    self.reopened += 1

    def _gone(self, end: End) -> None:
        self.last_error = end.stream_error or self.last_error
        self._forget_acknowledged(end)
        was_cut = not end.is_in_order or end.stream_error
        if end.is_managed and was_cut:
            self._recorder.resent(self._written)
            self._waiting.extendleft(reversed(self._written))
        elif was_cut:
            self._recorder.cut_off(self._written)
        self._written.clear()
        self._acknowledged = self._unrequested = 0
        if self.end is end:
            self.end = None
