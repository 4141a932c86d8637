"""What TLS and plaintext have in common: gathered writes, a shared receive buffer, one ending.

A layer sits between a transport and its upper (a `Connection`), which may put another layer in its
place at any moment. It knows nothing of XML. `plain` and `tls` are the two kinds.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

CHUNK_BYTES: Final = 65_536
"""The most that goes up in one `data_received`, and the most read from a socket at once."""

RECEIVE_BUFFER: Final = memoryview(bytearray(CHUNK_BYTES))
"""One for the process: whoever is told that it was filled has taken everything before returning."""


_readable: memoryview = RECEIVE_BUFFER


def read_at_most(octets: int) -> None:
    """From now on one read from a socket brings no more than this, at most CHUNK_BYTES."""
    global _readable
    _readable = RECEIVE_BUFFER[:octets]


class Transport(Protocol):
    """The part of `asyncio.Transport` that a layer needs, so that a byte stream can stand in."""

    def write(self, data: bytes, /) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def write_eof(self) -> None: ...
    def is_closing(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None: ...
    def get_write_buffer_size(self) -> int: ...


class Upper(Protocol):
    """Who sits on a layer. After it has called `close` or `abort`, only `connection_lost` comes."""

    def data_received(self, octets: bytes) -> None:
        """At most CHUNK_BYTES of the peer's octets, in order."""

    def eof_received(self, clean: bool) -> None:
        """The peer sends no more, said once. Writing goes on until `close` or `abort`.

        `clean`: it said so by TLS close_notify. A bare TCP FIN may be anybody's (truncation).
        """

    def connection_lost(self, error: Exception | None) -> None:
        """The last call, exactly once. The error is None after an ordinary end."""

    def pause_writing(self) -> None:
        """Too much is buffered; what is written all the same is kept."""

    def resume_writing(self) -> None:
        """The buffer has drained."""


class Layer(asyncio.BufferedProtocol):
    """The surface of both kinds. Writes are gathered and leave once per turn of the loop.

    `written_before`: what earlier layers wrote to the same transport; `written` counts on from it.
    """

    __slots__ = (
        "_flush_is_due",
        "_is_ended",
        "_is_open",
        "_loop",
        "_lost_by",
        "_pending",
        "_pending_bytes",
        "_upper",
        "_written",
        "on_flush",
        "transport",
    )

    def __init__(self, transport: Transport, upper: Upper, written_before: int = 0) -> None:
        self.transport = transport
        self.on_flush: Callable[[int], None] | None = None
        self._upper = upper
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._flush_is_due = False
        self._written = written_before
        self._is_open = True
        self._is_ended = False
        self._lost_by: Exception | None = None
        transport.set_protocol(self)

    # --- for the upper ---

    def write(self, octets: bytes) -> None:
        """Send in order, at the end of this turn of the loop; after an ending, into the void."""
        if not self._is_open:
            return
        self._pending.append(octets)
        self._pending_bytes += len(octets)
        self._schedule_flush()

    def flush(self) -> None:
        """Send now what was written. `on_flush` is then called with `written()`."""
        if not self._pending or not self._is_open or not self._may_send():
            return
        octets = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._send(octets)
        if self.on_flush is not None:
            self.on_flush(self._written)

    def written(self) -> int:
        """Octets handed to the transport so far, as TCP counts them (ciphertext included)."""
        return self._written

    def buffered(self) -> int:
        """Octets that have not left for the kernel: ours and the transport's."""
        return self._pending_bytes + self.transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Nothing is read from now on, but what was read with this chunk still comes."""
        if self._is_open:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._is_open:
            self.transport.resume_reading()

    def close(self) -> None:
        """Send what was written, then end. A peer that does not read delays it: `abort` then."""
        if self._is_open:
            self.flush()
            self._is_open = False
            self._say_goodbye()
            self.transport.close()

    def finish(self) -> None:
        """Send what was written and FIN, drop what still comes, end when the peer does or `abort`.

        For a peer that may be sending: a close with octets unread is a reset, and a reset takes
        from the peer what it has not read yet.
        """
        if self._is_ended or self.transport.is_closing():
            self.close()
        elif self._is_open:
            self.flush()
            self._is_open = False
            self._say_goodbye()
            self.transport.resume_reading()
            self.transport.write_eof()

    def abort(self) -> None:
        """End at once and drop what has not left."""
        self._is_open = False
        self.transport.abort()

    # --- for the two kinds ---

    def _may_send(self) -> bool:
        return True

    def _send(self, octets: bytes) -> None:
        self._put(octets)

    def _say_goodbye(self) -> None:
        pass

    def _put(self, octets: bytes) -> None:
        self._written += len(octets)
        self.transport.write(octets)

    def _schedule_flush(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush_when_due)

    def _flush_when_due(self) -> None:
        self._flush_is_due = False
        self.flush()

    def _end_reached(self, clean: bool) -> None:
        if self._is_open and not self._is_ended:
            self._is_ended = True
            self._upper.eof_received(clean)

    # --- for the transport ---

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        return _readable

    def eof_received(self) -> bool:
        """TCP FIN. True: the transport stays open for writing until the upper ends it."""
        self._end_reached(clean=False)
        return self._is_open

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._is_open = False
        self._pending.clear()
        self._pending_bytes = 0
        self._upper.connection_lost(self._lost_by or exc)

    def pause_writing(self) -> None:
        """The transport's buffer passed its high-water mark."""
        if self._is_open:
            self._upper.pause_writing()

    def resume_writing(self) -> None:
        """The transport's buffer is below its low-water mark."""
        if self._is_open:
            self._upper.resume_writing()
