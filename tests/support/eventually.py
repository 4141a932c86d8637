"""Waiting for something that other processes bring about, by its effect and not by time."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], T], limit_s: float = 20.0) -> T:
    """The first true value that `look` returns. Fails the test when there is none in time."""
    async with asyncio.timeout(limit_s):
        while not (seen := look()):  # noqa: ASYNC110 - no event reaches us from other processes
            await asyncio.sleep(0.005)
    return seen
