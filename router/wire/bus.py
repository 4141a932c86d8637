"""The ZeroMQ sockets between our processes, on an event loop, without `zmq.asyncio`.

Acceptors bind a ROUTER, workers and other acceptors connect a DEALER to it. Owns draining, waking
up and the queue for a peer that is slow; frames, and what a bad message means, are the callers'.
"""

import asyncio
import stat
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

import zmq
from zmq.backend import Socket as Backend

from router.xmpp.errors import MisuseError

Context = zmq.Context[zmq.Socket[bytes]]

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Of each part; a peer that sends more is disconnected."""

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Kept here for one peer once ZeroMQ's own queue to it is full."""

_HIGH_WATER_MESSAGES: Final = 100_000
_MESSAGE_OVERHEAD_BYTES: Final = 64
_DRAIN_BUDGET_MESSAGES: Final = 200
_FLUSH_RETRY_S: Final = 0.005
_IPC: Final = "ipc://"

# zmq.Socket spends more on its conveniences and on combining enumerations than libzmq on a message.
_NOBLOCK: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK) | int(zmq.SNDMORE)
_RCVMORE: Final = int(zmq.RCVMORE)
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)


def _send_parts(socket: zmq.Socket[bytes], parts: Sequence[bytes]) -> None:
    """Raises zmq.Again, and ZMQError for a peer gone, before any part is sent."""
    last = len(parts) - 1
    for number, part in enumerate(parts):
        Backend.send(socket, part, _MORE if number < last else _NOBLOCK)


def _has_message(socket: zmq.Socket[bytes]) -> bool:
    """Also what makes libzmq look whether anything has arrived."""
    return bool(cast(int, Backend.get(socket, _EVENTS)) & _POLLIN)


def _receive_parts(socket: zmq.Socket[bytes]) -> list[bytes]:
    """A message; there must be one."""
    parts: list[bytes] = [Backend.recv(socket, _NOBLOCK)]
    while Backend.get(socket, _RCVMORE):
        parts.append(Backend.recv(socket, _NOBLOCK))
    return parts


class _Waiting:
    """Messages for one peer in order, bounded."""

    __slots__ = ("_bytes", "_messages")

    def __init__(self) -> None:
        self._messages: deque[Sequence[bytes]] = deque()
        self._bytes = 0

    def append(self, message: Sequence[bytes]) -> bool:
        size = _size(message)
        if self._bytes + size > MAX_WAITING_BYTES:
            return False
        self._messages.append(message)
        self._bytes += size
        return True

    def flush(self, socket: zmq.Socket[bytes]) -> bool:
        """Hand over what ZeroMQ takes; whether that was all. Raises ZMQError for a peer gone."""
        while self._messages:
            try:
                _send_parts(socket, self._messages[0])
            except zmq.Again:
                return False
            self._bytes -= _size(self._messages.popleft())
        return True


def _size(message: Sequence[bytes]) -> int:
    return _MESSAGE_OVERHEAD_BYTES + sum(map(len, message))


class _Socket:
    """What ROUTER and DEALER share.

    ZeroMQ's FD is edge-triggered and says only that *something* changed; sending may swallow the
    edge. So every wake-up drains until nothing is left, and every send outside a drain is followed
    by a look at EVENTS. Receiving may swallow the edge that says there is room again, and EVENTS
    of a ROUTER does not say for which peer: what waits is therefore tried again on a timer.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, context: Context, kind: int, max_message_bytes: int
    ) -> None:
        self._loop = loop
        self._socket = context.socket(kind)
        self._socket.linger = 0
        self._socket.set_hwm(_HIGH_WATER_MESSAGES)
        self._socket.setsockopt(zmq.MAXMSGSIZE, max_message_bytes)
        self._fd = cast(int, self._socket.getsockopt(zmq.FD))
        self._waiting: dict[bytes, _Waiting] = {}
        self._draining = False
        self._drain_is_due = False
        self._flush_timer: asyncio.TimerHandle | None = None

    def _start(self) -> None:
        self._loop.add_reader(self._fd, self._drain)
        self._drain_soon()

    def close(self) -> None:
        """Leave the bus; what ZeroMQ has not sent yet is lost. Nothing more arrives afterwards."""
        if not self._socket.closed:
            self._loop.remove_reader(self._fd)
            if self._flush_timer is not None:
                self._flush_timer.cancel()
            self._waiting.clear()
            self._socket.close(linger=0)

    def _drain_soon(self) -> None:
        if not self._drain_is_due:
            self._drain_is_due = True
            self._loop.call_soon(self._drain_again)

    def _drain_again(self) -> None:
        self._drain_is_due = False
        self._drain()

    def _drain(self) -> None:
        self._draining = True
        is_drained = False
        try:
            is_drained = self._receive_all()
        finally:
            self._draining = False
            if not is_drained and not self._socket.closed:
                self._drain_soon()

    def _receive_all(self) -> bool:
        """Deliver what has arrived, within the budget; whether that was all."""
        for _ in range(_DRAIN_BUDGET_MESSAGES):
            if self._socket.closed or not _has_message(self._socket):
                return True
            self._deliver(_receive_parts(self._socket))
        return False

    def _deliver(self, message: list[bytes]) -> None:
        raise NotImplementedError

    def _send(self, peer: bytes, message: Sequence[bytes]) -> bool:
        if self._socket.closed:
            return False
        waiting = self._waiting.get(peer)
        if waiting is not None:
            return waiting.append(message)
        try:
            _send_parts(self._socket, message)
        except zmq.Again:
            waiting = self._waiting[peer] = _Waiting()
            self._flush_later()
            return waiting.append(message)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        if not (self._draining or self._drain_is_due) and _has_message(self._socket):
            self._drain_soon()
        return True

    def _flush_later(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = self._loop.call_later(_FLUSH_RETRY_S, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        for peer, waiting in list(self._waiting.items()):
            try:
                is_empty = waiting.flush(self._socket)
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                is_empty = True
            if is_empty:
                del self._waiting[peer]
        if self._waiting:
            self._flush_later()
        self._drain_soon()


class RouterSocket(_Socket):
    """The bound end: many peers, told apart by the identity each connects with.

    `on_message(peer, parts)` runs on the loop. For `ipc://` the directory must be mode 0700, since
    whoever can open the socket is believed. Raises MisuseError otherwise, ZMQError when the
    endpoint cannot be bound.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        endpoint: str,
        on_message: Callable[[str, list[bytes]], None],
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        if endpoint.startswith(_IPC):
            directory = Path(endpoint.removeprefix(_IPC)).parent
            if stat.S_IMODE(directory.stat().st_mode) != 0o700:
                raise MisuseError(f"{directory} is not mode 0700")
        super().__init__(loop, context, zmq.ROUTER, max_message_bytes)
        self._on_message = on_message
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 0)  # ids are never reused: no take-over
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self._socket.close(linger=0)
            raise
        self._start()

    def send(self, peer: str, parts: Sequence[bytes]) -> bool:
        """Queue a message, in order. False when the peer is not there or reads nothing."""
        identity = peer.encode()
        return self._send(identity, [identity, *parts])

    def _deliver(self, message: list[bytes]) -> None:
        self._on_message(message[0].decode(errors="replace"), message[1:])


class DealerSocket(_Socket):
    """The connecting end: one peer. `on_message(parts)` runs on the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        endpoint: str,
        identity: str,
        on_message: Callable[[list[bytes]], None],
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        super().__init__(loop, context, zmq.DEALER, max_message_bytes)
        self._on_message = on_message
        self._socket.setsockopt(zmq.ROUTING_ID, identity.encode())
        self._socket.connect(endpoint)
        self._start()

    def send(self, parts: Sequence[bytes]) -> bool:
        """Queue a message, in order. False when the peer has read nothing for too long."""
        return self._send(b"", parts)

    def _deliver(self, message: list[bytes]) -> None:
        self._on_message(message)
