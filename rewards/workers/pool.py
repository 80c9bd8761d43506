"""A pool of killable processes for verifier code that may hang, crash or eat memory.

    call() --permit--> queue --> thread 1 <--socket--> worker process 1
      ^        |          \\---> thread 2 <--socket--> worker process 2
      |        waits when `pending` calls are under way; woken by each call that ends
      +--- waits for its outcome; woken by the thread, in whatever loop it runs

A thread waits for its worker up to the call's deadline and then kills it, so no caller waits longer
than the queue takes. The deadline runs from the moment the worker has imported the function, not
while the call is queued. A worker that dies, misses a deadline or runs out of memory is replaced.

What this does not protect against: code in a worker can read files (the environment of the parent
under /proc among them), open connections and write what the user may; it is isolation from hangs,
crashes and carelessness, not a sandbox.
"""

import asyncio
import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from rewards.types import JSON
from rewards.workers.process import Failure, Outcome, WorkerProcess, clean_environment

_CLOSED = Outcome(failure=Failure.CLOSED, reason="the pool of workers was closed")


@dataclass(eq=False)
class _Job:
    target: str
    args: tuple[JSON, ...]
    prepare: str
    deadline_s: float
    future: "Future[Outcome]" = field(default_factory=Future)


class Workers:
    """Calls `module:function` with plain data in a pool of processes.

    count:     most processes at once; started when needed, kept and reused
    memory_mb: address space of each, in MiB; 0 for no limit
    pending:   calls accepted at once, queued or running; further callers wait
    start_s:   longest wait for a process to start, import the function and prepare, seconds
    recycle:   calls after which a process is replaced, so that caches cannot grow for ever
    environment: variables that the processes see, besides those that say where things lie
    """

    def __init__(
        self,
        *,
        count: int = 0,
        memory_mb: int = 2048,
        pending: int = 256,
        start_s: float = 120.0,
        recycle: int = 5000,
        environment: Sequence[str] = (),
    ) -> None:
        self.count = count or min(4, os.cpu_count() or 1)
        self._memory = memory_mb << 20
        self._start_s = start_s
        self._recycle = recycle
        self._environment = tuple(environment)
        self._free = max(pending, self.count)
        self._waiting: deque[Future[None]] = deque()
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._processes: set[WorkerProcess] = set()

    async def call(self, target: str, *args: JSON, deadline_s: float, prepare: str = "") -> Outcome:
        """Run `target` ("module:function") on `args` in a worker, from any event loop.

        prepare: another function, called with the same arguments before the deadline runs
        """
        permit = self._acquire()
        try:
            await asyncio.wrap_future(permit)
        except asyncio.CancelledError:
            if not permit.cancel() and not permit.cancelled():
                self._release()
            raise
        job = _Job(target, args, prepare, deadline_s)
        job.future.add_done_callback(lambda _: self._release())
        self._submit(job)
        return await asyncio.wrap_future(job.future)

    def call_blocking(
        self, target: str, *args: JSON, deadline_s: float, prepare: str = ""
    ) -> Outcome:
        """The same for callers without an event loop; waits in this thread."""
        self._acquire().result()
        job = _Job(target, args, prepare, deadline_s)
        job.future.add_done_callback(lambda _: self._release())
        self._submit(job)
        return job.future.result()

    def close(self) -> None:
        """Kill every worker; calls under way and queued end as CLOSED."""
        with self._wake:
            self._closed = True
            left, self._jobs = list(self._jobs), deque()
            self._wake.notify_all()
            for process in self._processes:
                process.kill()
        for job in left:
            if job.future.set_running_or_notify_cancel():
                job.future.set_result(_CLOSED)
        for thread in self._threads:
            thread.join(timeout=10)

    # -- back-pressure ---------------------------------------------------------------------------

    def _acquire(self) -> "Future[None]":
        permit: Future[None] = Future()
        with self._wake:
            if self._free:
                self._free -= 1
                permit.set_result(None)
            else:
                self._waiting.append(permit)
        return permit

    def _release(self) -> None:
        with self._wake:
            while self._waiting:
                permit = self._waiting.popleft()
                if permit.set_running_or_notify_cancel():
                    permit.set_result(None)
                    return
            self._free += 1

    # -- threads ---------------------------------------------------------------------------------

    def _submit(self, job: _Job) -> None:
        with self._wake:
            if not self._closed:
                self._jobs.append(job)
                if self._idle < len(self._jobs) and len(self._threads) < self.count:
                    name = f"worker-{len(self._threads)}"
                    thread = threading.Thread(target=self._serve, name=name, daemon=True)
                    self._threads.append(thread)
                    thread.start()
                self._wake.notify()
                return
        job.future.set_result(_CLOSED)

    def _next(self) -> _Job | None:
        with self._wake:
            self._idle += 1
            while not self._jobs and not self._closed:
                self._wake.wait()
            self._idle -= 1
            return None if self._closed else self._jobs.popleft()

    def _serve(self) -> None:
        process: WorkerProcess | None = None
        while (job := self._next()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                process, outcome = self._run(process, job)
            except BaseException as error:
                job.future.set_exception(error)  # a defect of ours must reach the caller
                raise
            if process is not None and process.calls >= self._recycle:
                self._forget(process)
                process = None
            job.future.set_result(_CLOSED if self._closed and outcome.failed else outcome)
        if process is not None:
            self._forget(process)

    def _run(
        self, process: "WorkerProcess | None", job: _Job
    ) -> "tuple[WorkerProcess | None, Outcome]":
        """One call; a worker that died idle, before the work began, is replaced once."""
        outcome = _CLOSED
        for _ in range(2):
            if process is None:
                try:
                    process = self._start()
                except OSError as error:
                    return None, Outcome(failure=Failure.START, reason=f"no worker: {error}")
            outcome, healthy = process.call(
                job.target,
                job.args,
                prepare=job.prepare,
                deadline_s=job.deadline_s,
                start_s=self._start_s,
            )
            if healthy:
                return process, outcome
            self._forget(process)
            process = None
            if outcome.failure is not Failure.START or self._closed:
                break
        return None, outcome

    def _start(self) -> "WorkerProcess":
        process = WorkerProcess(self._memory, clean_environment(self._environment))
        with self._wake:
            self._processes.add(process)
            if self._closed:
                process.kill()
        return process

    def _forget(self, process: "WorkerProcess") -> None:
        process.kill()
        with self._wake:
            self._processes.discard(process)


_pools: dict[str, Workers] = {}
_pools_lock = threading.Lock()


def shared() -> Workers:
    """The process's own pool, made on first use and closed at exit."""
    return pool("shared", Workers)


def pool(name: str, make: Callable[[], Workers]) -> Workers:
    """The process's pool of that name, made on first use and closed at exit."""
    with _pools_lock:
        if name not in _pools:
            _pools[name] = make()
            atexit.register(_pools[name].close)
        return _pools[name]


def _forget_after_fork() -> None:
    """A forked child must not talk over its parent's sockets."""
    global _pools, _pools_lock
    _pools, _pools_lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
