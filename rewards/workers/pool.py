"""A pool of killable processes for verifier code that may hang, crash or eat memory.

    call() --turn--> a process with room (`process.py`)
                       started, kept and reused, at most `count`

The pool lives on the background loop (`rewards/background.py`). The deadline of a call does not run
while the call waits for its turn. A worker that dies, misses a deadline or runs out of memory is
replaced, and what it started is killed too.

What this does not protect against: code in a worker can read files (the environment of the parent
under /proc among them), open connections and write what the user may; it is isolation from hangs,
crashes and carelessness, not a sandbox.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Sequence

from rewards.background import background
from rewards.types import JSON
from rewards.workers import guarded_worker as protocol
from rewards.workers.process import (
    CallResult,
    Failure,
    WorkerGone,
    WorkerProcess,
    clean_environment,
)

_CLOSED = CallResult(failure=Failure.CLOSED, reason="the pool of workers was closed")


class Workers:
    """Calls `module:function` with plain data in a pool of processes.

    count:     most processes at once; started when needed, kept and reused
    at_once:   calls under way in one process, for `async` functions; 1 for all others
    memory_mb: what each process may allocate, in MiB; 0 for no limit
    start_s:   longest wait for a process to start, import the function and prepare, seconds
    recycle:   calls after which a process is replaced, so that caches cannot grow for ever
    environment: variables that the processes see, besides those that say where things are
    at_end:    a function without arguments that a process calls before it leaves
    end_s:     longest wait for that
    """

    def __init__(
        self,
        *,
        count: int = 0,
        at_once: int = 1,
        memory_mb: int = 2048,
        start_s: float = 120.0,
        recycle: int = 5000,
        environment: Sequence[str] = (),
        at_end: str = "",
        end_s: float = 10.0,
    ) -> None:
        self.count = count or min(4, os.cpu_count() or 1)
        self._at_once = at_once
        self._memory = memory_mb << 20
        self._start_s = start_s
        self._recycle = recycle
        self._environment = tuple(environment)
        self._at_end = at_end
        self._end_s = end_s
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(
        self, target: str, *args: JSON, deadline_s: float, prepare: str = ""
    ) -> CallResult:
        """Run `target` ("module:function") on `args` in a worker, from any event loop.

        prepare: another function, called with the same arguments before the deadline runs
        """
        return await background().run(self._call(target, args, deadline_s, prepare))

    def call_blocking(
        self, target: str, *args: JSON, deadline_s: float, prepare: str = ""
    ) -> CallResult:
        """The same for callers without an event loop; waits in this thread."""
        return background().submit(self._call(target, args, deadline_s, prepare)).result()

    def close(self) -> None:
        """End every worker; calls under way and queued end as CLOSED."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            background().submit(self._end_all()).result()

    # -- on the background loop --------------------------------------------------------------------

    async def _call(
        self, target: str, args: tuple[JSON, ...], deadline_s: float, prepare: str
    ) -> CallResult:
        request: dict[str, JSON] = {"target": target, "args": args, "prepare": prepare}
        try:
            protocol.frame(request)
        except (TypeError, ValueError) as error:
            return CallResult(failure=Failure.RAISED, reason=f"not plain data: {error}")
        self._open_here()
        result = _CLOSED
        async with self._turns:
            for _ in range(2):  # a worker that died idle, or for another call, is replaced once
                if self._closed:
                    return _CLOSED
                worker = self._with_room()
                worker.load += 1
                worker.calls += 1
                try:
                    result = await worker.call(request, deadline_s, self._start_s)
                    break
                except WorkerGone as error:
                    reason = f"the worker died: {error}"
                    result = CallResult(failure=Failure.START, reason=reason)
                finally:
                    worker.load -= 1
                    self._replace_old(worker)
        return _CLOSED if self._closed and result.failed else result

    def _open_here(self) -> None:
        """The state of the loop that runs; another one comes after the first was closed."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._turns = asyncio.Semaphore(self.count * self._at_once)
            self._processes: list[WorkerProcess] = []
            self._ending: set[asyncio.Task[None]] = set()

    def _with_room(self) -> WorkerProcess:
        """The fullest process with room for one more call, or a new one."""
        self._processes = [process for process in self._processes if process.usable]
        free = [process for process in self._processes if process.load < self._at_once]
        if free:
            return max(free, key=lambda process: process.load)
        process = WorkerProcess(self._memory, clean_environment(self._environment))
        self._processes.append(process)
        return process

    def _replace_old(self, process: WorkerProcess) -> None:
        """A process that has served its time takes no more calls, and ends after the last."""
        if process.calls >= self._recycle:
            process.usable = False
            if process.load == 0:
                task = asyncio.create_task(process.end(self._at_end, self._end_s))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    async def _end_all(self) -> None:
        if self._loop is asyncio.get_running_loop():
            ends = (process.end(self._at_end, self._end_s) for process in self._processes)
            await asyncio.gather(*ends, *self._ending)


_pools: dict[str, Workers] = {}
_pools_lock = threading.Lock()


def shared() -> Workers:
    """The process's own pool, made on first use and closed at exit."""
    return pool("shared", Workers)


def pool(name: str, make: Callable[[], Workers]) -> Workers:
    """The process's pool of that name, made on first use and closed at exit."""
    with _pools_lock:
        if name not in _pools:
            background()  # its own end is registered before, and comes after
            _pools[name] = make()
            atexit.register(_pools[name].close)
        return _pools[name]


def _forget_after_fork() -> None:
    """A forked child must not talk over its parent's sockets."""
    global _pools, _pools_lock
    _pools, _pools_lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
