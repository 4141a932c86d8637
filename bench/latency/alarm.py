"""Waking up at a point in time: `timerfd_create(2)`, since the loop's timers count milliseconds.

uvloop and epoll round a delay to the next millisecond, several times what a stanza takes. Called by
`course`.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_CLOCK_MONOTONIC: Final = 1
_ABSOLUTE: Final = 1
_NS: Final = 1_000_000_000


class _Timer(ctypes.Structure):
    """`struct itimerspec`: the interval, and the first expiry."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Alarm:
    """Calls `ring` in the running loop once the clock of `time.monotonic` has reached `set`'s time.

    A time in the past rings in the next turn. To be used as a context manager, which closes it.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._timer = _Timer()
        self._fd = _LIBC.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._expired)

    def set(self, at_s: float) -> None:
        """Ring at this time, and not at one set before."""
        # Zero would disarm it.
        at_ns = max(1, int(at_s * _NS))
        self._timer.value_s, self._timer.value_ns = divmod(at_ns, _NS)
        _LIBC.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(self._timer), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _expired(self) -> None:
        os.read(self._fd, 8)
        self._ring()
