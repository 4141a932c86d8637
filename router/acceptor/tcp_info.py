"""What the kernel knows of a TCP connection (TCP_INFO, Linux 4.1 or later). `Connection` asks."""

import fcntl
import socket
import struct
import termios
from typing import Final, NamedTuple

# Offsets in struct tcp_info: tcpi_bytes_acked, tcpi_last_ack_recv in milliseconds, and tcpi_rtt in
# microseconds.
_BYTES_ACKED: Final = 120
_LAST_ACK: Final = 56
_RTT: Final = 68


class TcpInfo(NamedTuple):
    """Octets the other kernel has acknowledged, a SYN perhaps included; how long ago it said
    anything, windows of 0 included; and the round trip.
    """

    acknowledged: int
    silent_s: float
    round_trip_s: float


def tcp_info(connected: socket.socket | None) -> TcpInfo | None:
    """What is known now; None where there is no such connection any more."""
    if connected is None:
        return None
    try:
        octets = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
    except (OSError, ValueError):  # ValueError: uvloop's, for a socket that is closed
        return None
    return TcpInfo(
        struct.unpack_from("Q", octets, _BYTES_ACKED)[0],
        struct.unpack_from("I", octets, _LAST_ACK)[0] / 1e3,
        struct.unpack_from("I", octets, _RTT)[0] / 1e6,
    )


def unacknowledged(connected: socket.socket | None) -> int:
    """Octets that were written and that the other kernel has not acknowledged; 0 if unknown."""
    if connected is None:
        return 0
    try:
        octets = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return 0
    return int(struct.unpack("i", octets)[0])
