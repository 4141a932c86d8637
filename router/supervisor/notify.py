"""What the service manager is told, and asks for: the sd_notify protocol of systemd.

A datagram of `KEY=value` lines to the socket that $NOTIFY_SOCKET names. Without one nothing is
sent. Called by the node and its supervisor.
"""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
WATCHDOG: Final = "WATCHDOG=1"
_MICROSECONDS: Final = 1_000_000


def notify(*lines: str) -> None:
    """Say it. A manager that does not listen is no fault of ours."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address[0] == "@":
        address = "\0" + address[1:]  # the abstract namespace
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto("\n".join(lines).encode(), address)


def reloading() -> tuple[str, str]:
    """That a reload has begun; READY ends it."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"


def watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """How often a sign of life is due, half of what the manager allows; None: it wants none."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    allowed = environ.get("WATCHDOG_USEC", "")
    return int(allowed) / _MICROSECONDS / 2 if allowed.isdigit() and int(allowed) else None


async def keep_alive(interval_s: float) -> None:
    """Signs of life, from the loop whose life they prove, until cancelled."""
    while True:
        notify(WATCHDOG)
        await asyncio.sleep(interval_s)
