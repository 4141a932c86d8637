"""One end of the control channel: control messages over a Unix stream socket.

Frames messages by length, bounds what is read and what waits to be written, and tells its owner
about each message and about the end. The supervisor makes one per accepted connection (`door`); a
role process calls `connect`, or `rejoin`. What the messages mean is their business.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Self, cast

from router.wire import control_codec
from router.wire.control import (
    BEAT_INTERVAL_S,
    MAX_MESSAGE_BYTES,
    SEEK_INTERVAL_S,
    VERSION,
    Beat,
    Hello,
    Message,
)
from router.wire.control_codec import BadMessage
from router.xmpp.errors import MisuseError

_LENGTH_BYTES: Final = 4
_MAX_WAITING_BYTES: Final = 4 * MAX_MESSAGE_BYTES


class ControlLink(asyncio.Protocol):
    """A protocol; made by `connect` on the side of a role process.

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
        self.speaks = VERSION
        """The version that the other side understands."""

    @classmethod
    def with_octets(cls, octets: bytes) -> Self:
        """One on which these have come already; it needs handlers before it is connected."""
        link = cls(lambda _: None, lambda: None)
        link._received += octets
        return link

    def hand_to(self, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        """From now on these are told."""
        self._on_message = on_message
        self._on_lost = on_lost

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, message: Message) -> None:
        """Queue the message; without effect once the connection is gone, or if the other side's
        version has none of its kind.

        Raises MisuseError when it is larger than MAX_MESSAGE_BYTES.
        """
        if self.speaks < message.SINCE:
            return
        octets = _framed(message, self.speaks)
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > _MAX_WAITING_BYTES:
            self._give_up("the other side does not read")
        else:
            self._transport.write(octets)

    def close(self) -> None:
        """Write what is queued, then end the connection; `on_lost` is not called any more."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._closed:
            self._transport.close()
        else:
            self.data_received(b"")  # what came before

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


def _framed(message: Message, version: int = VERSION) -> bytes:
    octets = control_codec.encode(message, version)
    if len(octets) > MAX_MESSAGE_BYTES:
        raise MisuseError(f"{type(message).__name__} of {len(octets)} bytes")
    return len(octets).to_bytes(_LENGTH_BYTES) + octets


async def connect(
    path: str, on_message: Callable[[Message], None], on_lost: Callable[[], None]
) -> ControlLink:
    """The end of a role process. Raises OSError when nobody listens at `path`.

    Next: send Hello, then Ready when you serve, and keep `beat` running. After `on_lost` serve on
    for ORPHAN_GRACE_S, calling `rejoin` meanwhile, then drain as if asked to and exit 0.
    """
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(lambda: ControlLink(on_message, on_lost), path)
    return link


async def rejoin(
    path: str,
    hello: Hello,
    sockets: Sequence[socket.socket],
    on_message: Callable[[Message], None],
    on_lost: Callable[[], None],
) -> ControlLink:
    """A new link, to a supervisor that is to adopt us; `sockets` are what `hello` says.

    Raises OSError when nobody listens at `path`. Next: Ready, and `beat`.
    """
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, path)
        # Some hundred octets into the empty buffer of a new socket: never a part of them.
        socket.send_fds(sock, [_framed(hello)], [each.fileno() for each in sockets])
        _, link = await loop.create_unix_connection(
            lambda: ControlLink(on_message, on_lost), sock=sock
        )
    except OSError:
        sock.close()
        raise
    return link


async def seek(
    path: str,
    hello: Hello,
    sockets: Sequence[socket.socket],
    on_message: Callable[[Message], None],
    on_lost: Callable[[], None],
    until_s: float,
) -> ControlLink | None:
    """`rejoin` as soon as anybody listens at `path`; None when the loop's time is `until_s`."""
    loop = asyncio.get_running_loop()
    while loop.time() < until_s:
        with suppress(OSError):
            return await rejoin(path, hello, sockets, on_message, on_lost)
        await asyncio.sleep(SEEK_INTERVAL_S)
    return None


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
