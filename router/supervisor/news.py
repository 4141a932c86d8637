"""Waiting for something to become true in the supervisor's loop.

Everything that happens there calls `tell`; who waits looks again. Once hastened, nobody waits long.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

HASTENED_WAIT_S: Final = 0.5


class News:
    """One per supervisor."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._hastened_s: float | None = None

    def tell(self) -> None:
        """Something has happened."""
        self._news.set()

    def hasten(self) -> bool:
        """From now on each wait lasts at most HASTENED_WAIT_S; False when that was so already."""
        is_new = self._hastened_s is None
        if is_new:
            self._hastened_s = asyncio.get_running_loop().time()
        self._news.set()
        return is_new

    async def until(self, done: Callable[[], bool], limit_s: float = float("inf")) -> None:
        """Return when it is done, or after so many seconds."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while not done():
            deadline_s = began_s + limit_s
            if self._hastened_s is not None:
                deadline_s = min(deadline_s, max(began_s, self._hastened_s) + HASTENED_WAIT_S)
            if loop.time() >= deadline_s:
                return
            self._news.clear()
            left_s = deadline_s - loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if left_s == float("inf") else left_s):
                    await self._news.wait()
