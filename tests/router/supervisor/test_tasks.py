"""Work in the background is kept, and broken off when told."""

import asyncio

from router.supervisor.tasks import Tasks


async def test_it_is_done_or_broken_off() -> None:
    tasks, done = Tasks(), asyncio.Event()
    broken_off = asyncio.Event()

    async def work() -> None:
        done.set()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            broken_off.set()

    tasks.run(work())
    tasks.run(endless())
    await asyncio.wait_for(done.wait(), 5)
    tasks.cancel()
    await asyncio.wait_for(broken_off.wait(), 5)
