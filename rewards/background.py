"""One event loop in a thread, for what outlives the loop of who asks.

    any loop, any thread --run(coroutine)--> the background loop: connections, rate limits, workers
         ^                                        |
         +-------- waits for the result <---------+   a caller that is cancelled cancels its work

Verifiers are called from several loops (the gold check has one, the run another), the trainer's own
loop is busy for minutes in an update, and a connection or a limit of requests a second belongs to
one loop. Model servers that judge, vLLM servers that sample and worker processes are served here.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Closable(Protocol):
    """Something that is open until the loop ends."""

    async def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class Background:
    """A loop that starts with the first coroutine, and what was opened on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._opened: dict[tuple[type, Hashable], Closable] = {}

    def submit(self, work: Coroutine[object, None, T]) -> "Future[T]":
        """Start `work` on the loop, from any other thread."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                run = self._loop.run_forever
                self._thread = threading.Thread(target=run, name="background", daemon=True)
                self._thread.start()
            loop = self._loop
        return asyncio.run_coroutine_threadsafe(work, loop)

    async def run(self, work: Coroutine[object, None, T]) -> T:
        """Run `work` on the background loop and wait for it on the caller's."""
        return await asyncio.wrap_future(self.submit(work))

    def opened(self, kind: type[C], key: Hashable, make: Callable[[], C]) -> C:
        """The one `kind` with this key, made when first asked for; call it on the loop only."""
        known = self._opened.get((kind, key))
        if known is None:
            known = self._opened[kind, key] = make()
        assert isinstance(known, kind), "opened under another kind"
        return known

    def close(self) -> None:
        """Cancel what is under way, close what was opened, end the thread; it may start again."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return

        async def wind_up() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            opened, self._opened = self._opened, {}
            for thing in opened.values():
                await thing.close()

        asyncio.run_coroutine_threadsafe(wind_up(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


class LoopTasks:
    """Work of one owner on the background loop, which others go on using when it is cancelled."""

    def __init__(self) -> None:
        self._futures: set[Future[Any]] = set()

    def submit(self, work: Coroutine[object, None, T]) -> "Future[T]":
        """Start `work` on the loop, from any other thread."""
        future = background().submit(work)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    async def run(self, work: Coroutine[object, None, T]) -> T:
        """Run `work` on the background loop and wait for it on the caller's."""
        return await asyncio.wrap_future(self.submit(work))

    def cancel(self) -> None:
        """Cancel what is under way."""
        for future in list(self._futures):
            future.cancel()


_shared: Background | None = None


def background() -> Background:
    """The process's own, made on first use and closed at exit."""
    global _shared
    if _shared is None:
        _shared = Background()
        atexit.register(_shared.close)
    return _shared


def _forget_after_fork() -> None:
    """A forked child has its parent's loop, but not the thread that runs it."""
    global _shared
    _shared = None


os.register_at_fork(after_in_child=_forget_after_fork)
