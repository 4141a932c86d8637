"""What the kernel has counted for one TCP connection: segments and octets, both ways (TCP_INFO).

Linux only. Called by `delay`, for each connection that passes.
"""

import socket
import struct
from dataclasses import dataclass
from typing import Final, Protocol

MSS_BYTES: Final = 1448
"""What a segment carries over Ethernet, 1,500 less the headers; over loopback it is 64 KiB."""

HEADER_BYTES: Final = 52
"""IPv4 and TCP with timestamps, in front of each segment."""

OPENING_PACKETS: Final = 1
"""The SYN, which came before there was an accepted socket to count it."""

_COUNTS: Final = struct.Struct("QQII")
_OFFSET: Final = 120  # of tcpi_bytes_acked in struct tcp_info, linux/tcp.h


class HasOptions(Protocol):
    """A socket, or what an event loop shows of one."""

    def getsockopt(self, level: int, option: int, buflen: int, /) -> bytes:
        """As `socket.socket.getsockopt`."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What went over the wire, both ways, so far; may be added up."""

    packets: int = 0
    payload_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """With the headers of IPv4 and TCP."""
        return self.payload_bytes + self.packets * HEADER_BYTES

    def __add__(self, other: "Wire") -> "Wire":
        return Wire(self.packets + other.packets, self.payload_bytes + other.payload_bytes)

    def __sub__(self, other: "Wire") -> "Wire":
        return Wire(self.packets - other.packets, self.payload_bytes - other.payload_bytes)


NOTHING: Final = Wire()


def wire(accepted: HasOptions) -> Wire:
    """The counts of a connection that was accepted. Raises OSError when it is gone."""
    info = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OFFSET + _COUNTS.size)
    acknowledged, received, sent_segments, came_segments = _COUNTS.unpack_from(info, _OFFSET)
    return Wire(OPENING_PACKETS + sent_segments + came_segments, acknowledged + received)
