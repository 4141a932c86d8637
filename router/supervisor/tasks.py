"""Work in the background of an event loop, kept from being forgotten."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Those under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done; a failure goes to the loop's exception handler."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Break all of it off."""
        for task in self._tasks:
            task.cancel()
