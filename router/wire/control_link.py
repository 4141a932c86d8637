"""One end of the control channel: control messages over a Unix stream socket.

Frames messages by length, bounds what is read and what waits to be written, and tells its owner
about each message and about the end. The supervisor makes one per accepted connection; a role
process calls `connect`. What the messages mean is their business.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from router.wire import control_codec
from router.wire.control import BEAT_INTERVAL_S, MAX_MESSAGE_BYTES, Beat, Message
from router.wire.control_codec import BadMessage
from router.xmpp.errors import MisuseError

_LENGTH_BYTES: Final = 4
_MAX_WAITING_BYTES: Final = 4 * MAX_MESSAGE_BYTES


class ControlLink(asyncio.Protocol):
    """A protocol for `create_unix_server`; made by `connect` on the side of a role process.

    `on_message` gets each message; `on_lost` is called once, when the connection is gone for any
    reason but our own `close`: ended by the other side, a message we cannot read, or an other side
    that reads nothing any more.
    """

    def __init__(self, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._closed = False
        self.fault = ""
        """Why we ended the connection ourselves; empty otherwise."""

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, message: Message) -> None:
        """Queue the message; without effect once the connection is gone.

        Raises MisuseError when it is larger than MAX_MESSAGE_BYTES.
        """
        octets = control_codec.encode(message)
        if len(octets) > MAX_MESSAGE_BYTES:
            raise MisuseError(f"{type(message).__name__} of {len(octets)} bytes")
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > _MAX_WAITING_BYTES:
            self._give_up("the other side does not read")
        else:
            self._transport.write(len(octets).to_bytes(_LENGTH_BYTES) + octets)

    def close(self) -> None:
        """Write what is queued, then end the connection; `on_lost` is not called any more."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while not self._closed and not self.fault and len(self._received) >= _LENGTH_BYTES:
            size = int.from_bytes(self._received[:_LENGTH_BYTES])
            if size > MAX_MESSAGE_BYTES:
                self._give_up(f"a message of {size} bytes")
                return
            end = _LENGTH_BYTES + size
            if len(self._received) < end:
                return
            octets = bytes(self._received[_LENGTH_BYTES:end])
            del self._received[:end]
            try:
                message = control_codec.decode(octets)
            except BadMessage as error:
                self._give_up(str(error))
                return
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._closed:
            self._closed = True
            self._on_lost()

    def _give_up(self, fault: str) -> None:
        self.fault = fault
        if self._transport is not None:
            self._transport.abort()


async def connect(
    path: str, on_message: Callable[[Message], None], on_lost: Callable[[], None]
) -> ControlLink:
    """The end of a role process. Raises OSError when nobody listens at `path`.

    Next: send Hello, then Ready when you serve, and keep `beat` running. After `on_lost` serve on
    for ORPHAN_GRACE_S, then drain as if asked to and exit 0.
    """
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(lambda: ControlLink(on_message, on_lost), path)
    return link


async def beat(
    link: ControlLink,
    snapshot: Callable[[], tuple[tuple[str, tuple[str, ...], float], ...]],
) -> None:
    """Sends Beat with `snapshot()` every BEAT_INTERVAL_S for as long as the link is open.

    Run it on the loop whose life it shall prove.
    """
    while link.is_open:
        link.send(Beat(snapshot()))
        await asyncio.sleep(BEAT_INTERVAL_S)
