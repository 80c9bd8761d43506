import asyncio
import concurrent.futures
import threading

import pytest

from rewards.background import LoopTasks, background


def test_all_work_is_on_one_thread():
    async def name():
        return threading.current_thread().name

    async def names():
        return {await background().run(name()), await LoopTasks().run(name())}

    assert asyncio.run(names()) == {"background"}


def test_an_owner_cancels_its_own_work_alone():
    mine, other = LoopTasks(), LoopTasks()
    ended = threading.Event()

    async def forever():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def soon():
        await asyncio.sleep(0.1)
        return 1

    doomed, kept = mine.submit(forever()), other.submit(soon())
    mine.submit(asyncio.sleep(0)).result(5)  # until the others have begun
    mine.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        doomed.result(5)
    assert ended.wait(5)
    assert kept.result(5) == 1
