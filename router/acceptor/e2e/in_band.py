"""An in-band bytestream (XEP-0047) as the transport of a connection.

Octets that the connection writes leave in stanzas of the bytestream; how far the peer has got is
what it has acknowledged by iq results. Made by `streams`, which hands in what happens.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from router.acceptor.layer import Layer
from router.acceptor.tcp_info import TcpInfo
from router.xmpp.bytestreams.ibb import InBandBytestream
from router.xmpp.bytestreams.ibb_events import Closed, DataReceived, Drained, IbbEvent
from router.xmpp.bytestreams.ibb_states import State

_ROUND_TRIP_S: Final = 10.0
"""What a peer may take before it counts as not reading: the path outside may break and be mended,
and blocks that were lost are sent again until then."""


class InBandTransport:
    """Has the surface of an `asyncio.Transport`, as far as a layer uses it.

    `send` is called when the bytestream may have stanzas to send.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stream: InBandBytestream,
        send: Callable[[InBandBytestream], None],
    ) -> None:
        self._loop = loop
        self._stream = stream
        self._send = send
        self._protocol: Layer | None = None
        self._is_closing = False
        self._is_lost = False
        self._is_paused = False
        self._acknowledged = 0
        self._heard_at = loop.time()

    # --- for the layer ---

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`tcp_info` asks what a kernel would be asked of a socket; there is no socket."""
        return self._info if name == "tcp_info" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who gets the octets from now on."""
        assert isinstance(protocol, Layer)
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        """Send these octets, in blocks."""
        if self._is_closing or self._stream.state is State.CLOSED:
            return
        self._stream.write(data, self._loop.time())
        self._send(self._stream)
        if self._stream.is_full() and not self._is_paused and self._protocol is not None:
            self._is_paused = True
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        """Octets that the peer has not acknowledged."""
        return self._stream.unsent_bytes()

    def pause_reading(self) -> None:
        """Take nothing more: what comes is not acknowledged."""
        self._stream.pause()

    def resume_reading(self) -> None:
        """Take what was held back, and what comes."""
        if not self._is_closing:
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self.happened(self._stream.resume(self._loop.time()))
        self._send(self._stream)

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._is_closing

    def write_eof(self) -> None:
        """There is no half of an in-band bytestream to close: close all of it."""
        self.close()

    def close(self) -> None:
        """Close once the peer has everything that was written (IBB-07)."""
        if self._is_closing:
            return
        self._is_closing = True
        # What a peer still sends is nobody's any more, but it has to be taken for the close.
        events = [*self._stream.resume(self._loop.time()), *self._stream.close(self._loop.time())]
        self._send(self._stream)
        self.happened(events)

    def abort(self) -> None:
        """Close at once."""
        self._is_closing = True
        self._stream.abort()
        self._send(self._stream)
        self._lose(None)

    # --- what the bytestream reports ---

    def happened(self, events: Iterable[IbbEvent]) -> None:
        """Do what the bytestream says has happened, in order."""
        self._note_progress()
        for event in events:
            if isinstance(event, DataReceived):
                self._give(event.octets)
            elif isinstance(event, Drained) and self._is_paused:
                self._is_paused = False
                if self._protocol is not None:
                    self._protocol.resume_writing()
            elif isinstance(event, Closed):
                self._closed(event)

    def _give(self, octets: bytes) -> None:
        at = 0
        while at < len(octets) and self._protocol is not None and not self._is_lost:
            room = self._protocol.get_buffer(-1)
            part = octets[at : at + len(room)]
            room[: len(part)] = part
            self._protocol.buffer_updated(len(part))
            at += len(part)

    def _closed(self, event: Closed) -> None:
        if not self._is_closing and self._protocol is not None:
            self._protocol.eof_received()
        self._is_closing = True
        clean = event.is_clean()
        self._lose(None if clean else ConnectionError(f"{event.reason.value}: {event.detail}"))

    def _lose(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        if self._protocol is not None:
            self._protocol.connection_lost(error)

    # --- how far the peer has got ---

    def _note_progress(self) -> None:
        if self._stream.acknowledged_bytes > self._acknowledged:
            self._acknowledged = self._stream.acknowledged_bytes
            self._heard_at = self._loop.time()

    def _info(self) -> TcpInfo:
        self._note_progress()
        return TcpInfo(self._acknowledged, self._loop.time() - self._heard_at, _ROUND_TRIP_S)
