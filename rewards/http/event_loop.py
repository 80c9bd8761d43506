"""One event loop in a thread of its own, for connections that outlive the loop of who asks.

    any loop, any thread --run(coroutine)--> the background loop: clients, rate limits, answers
         ^                                        |
         +-------- waits for the result <---------+   a caller that is cancelled cancels its work

Verifiers are called from several loops (the gold check has one, the run another), while an HTTP
connection and a limit of requests a second belong to one loop.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Hashable
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

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the background loop and wait for it on the caller's."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        return await asyncio.wrap_future(future)

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
        asyncio.run_coroutine_threadsafe(self._wind_up(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                name = "rewards-remote"
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name=name, daemon=True
                )
                self._thread.start()
            return self._loop

    async def _wind_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        opened, self._opened = self._opened, {}
        for thing in opened.values():
            await thing.close()


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
