"""Waiting for what comes true: it does, it does not in time, or somebody is in a hurry."""

import asyncio

from router.supervisor.news import HASTENED_WAIT_S, News


async def test_who_waits_looks_again_at_each_news() -> None:
    news, done = News(), [False]
    waiting = asyncio.create_task(news.until(lambda: done[0]))
    await asyncio.sleep(0)
    news.tell()
    await asyncio.sleep(0)
    assert not waiting.done()
    done[0] = True
    news.tell()
    await asyncio.wait_for(waiting, 5)


async def test_it_waits_no_longer_than_it_is_told() -> None:
    await asyncio.wait_for(News().until(lambda: False, 0.01), 5)


async def test_haste_shortens_all_waits() -> None:
    news = News()
    waiting = asyncio.create_task(news.until(lambda: False))
    await asyncio.sleep(0)
    began_s = asyncio.get_running_loop().time()
    assert news.hasten()
    assert not news.hasten()
    await asyncio.wait_for(waiting, 5)
    assert asyncio.get_running_loop().time() - began_s >= HASTENED_WAIT_S
