"""A pool of killable processes for verifier code that may hang, crash or eat memory.

    call() --turn--> a process with room --socket--> worker (`guarded_worker.py`)
                       started, kept and reused, at most `count`

The pool lives on the background loop (`rewards/background.py`). The deadline of a call runs from
the moment the worker has imported the function, not while the call waits for its turn. A worker
that dies, misses a deadline or runs out of memory is replaced, and what it started is killed too.

What this does not protect against: code in a worker can read files (the environment of the parent
under /proc among them), open connections and write what the user may; it is isolation from hangs,
crashes and carelessness, not a sandbox.
"""

import asyncio
import atexit
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rewards.background import background
from rewards.types import JSON
from rewards.workers import guarded_worker as protocol

_ROOT = str(Path(__file__).resolve().parents[2])
_CANCEL_S = 1.0  # until a call that was cancelled has ended, or its worker is killed

# What a worker sees of the parent's environment: where things are, never a key or a token.
_KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT"),
        *("LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CACHE_HOME"),
        *("HF_HOME", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"),
        *("CUDA_VISIBLE_DEVICES", "CUDA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    }
)


def clean_environment(also: Iterable[str] = ()) -> dict[str, str]:
    """The variables a worker may see: those on a short list, locales, and those named in `also`."""
    kept = _KEPT | set(also)
    return {k: v for k, v in os.environ.items() if k in kept or k.startswith("LC_")}


class Failure(Enum):
    """Why a call has no value."""

    NONE = "none"
    DEADLINE = "deadline"  # still computing when its time was over; killed
    DIED = "died"  # the process ended in the middle of the call
    RAISED = "raised"  # the function raised, or returned what is not plain data
    START = "start"  # no worker could be started, or the function could not be imported in time
    CLOSED = "closed"  # the pool was closed first


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What became of one call: a value, or a failure with its reason."""

    value: JSON = None
    failure: Failure = Failure.NONE
    reason: str = ""
    seconds: float = 0.0  # from the start of the work in the worker; 0 when it never started

    @property
    def failed(self) -> bool:
        return self.failure is not Failure.NONE


_CLOSED = CallResult(failure=Failure.CLOSED, reason="the pool of workers was closed")


class _WorkerGone(Exception):
    """The worker ended before a call had begun, or for what another call did."""


@dataclass(eq=False)
class _Call:
    loaded: asyncio.Future[None]
    reply: asyncio.Future[dict[str, JSON]]


class _WorkerProcess:
    """One worker and the socket to it; lives on the background loop."""

    def __init__(self, memory: int, environment: Mapping[str, str]) -> None:
        self.load = 0  # calls that have a place here
        self.calls = 0  # in its whole life
        self.usable = True
        self._memory = memory
        self._environment = environment
        self._numbers = itertools.count()
        self._under_way: dict[int, _Call] = {}
        self._started = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._blamed = False  # killed for what one of its calls did

    @property
    def pid(self) -> int:
        """Of the process that the worker is or is guarded by; 0 before it is started."""
        return self._process.pid if self._process else 0

    async def call(self, request: dict[str, JSON], deadline_s: float, start_s: float) -> CallResult:
        """The result of one call; raises _WorkerGone where it did not begin, or is not to blame."""
        began = 0.0
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        call = _Call(loaded=loop.create_future(), reply=loop.create_future())
        try:
            async with asyncio.timeout(start_s):
                await self._start()
                self._under_way[number] = call
                self._writer.write(protocol.frame({**request, "id": number}))
                await asyncio.wait((call.loaded, call.reply), return_when="FIRST_COMPLETED")
            if call.loaded.done():
                began = time.monotonic()
            reply = await self._reply(call, deadline_s)
            if "gone" in reply:
                raise _WorkerGone(reply["gone"])
        except TimeoutError:
            if not began:
                self.kill()
                reason = f"the worker did not start within {start_s:g} s"
                return CallResult(failure=Failure.START, reason=reason)
            await self._end_call(number, call)
            reason = f"no result within {deadline_s:g} s; it was stopped"
            return CallResult(failure=Failure.DEADLINE, reason=reason, seconds=deadline_s)
        except OSError as error:
            self.kill()
            return CallResult(failure=Failure.START, reason=f"no worker: {error}")
        except _WorkerGone as error:
            if self._blamed or not began:
                raise
            return CallResult(failure=Failure.DIED, reason=f"the worker died: {error}")
        except asyncio.CancelledError:
            if len(self._under_way) > 1:
                self._writer.write(protocol.frame({"cancel": number}))
            else:
                self.kill()
            raise
        finally:
            self._under_way.pop(number, None)
            for future in (call.loaded, call.reply):
                future.cancel()
        seconds = time.monotonic() - began if began else 0.0
        if "error" not in reply:
            return CallResult(value=reply["value"], seconds=seconds)
        if reply.get("spoilt"):
            self.kill()
        return CallResult(failure=Failure.RAISED, reason=reply["error"], seconds=seconds)

    async def _reply(self, call: _Call, deadline_s: float) -> dict[str, JSON]:
        """Within the deadline; a reply that is here counts, however late this loop looks at it."""
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.shield(call.reply)
        except TimeoutError:
            await asyncio.sleep(0.005)
            if call.reply.done():
                return call.reply.result()
            raise

    async def _end_call(self, number: int, call: _Call) -> None:
        """Cancel a late call where others go on beside it; kill the worker if it does not end."""
        if len(self._under_way) > 1:
            self._writer.write(protocol.frame({"cancel": number}))
            done, _ = await asyncio.wait((call.reply,), timeout=_CANCEL_S)
            if done:
                return
            self._blamed = True
        self.kill()
        assert self._process is not None, "it was started for this call"
        await self._process.wait()

    async def _start(self) -> None:
        async with self._started:
            if self._process is not None:
                return
            ours, theirs = socket.socketpair()
            with theirs:
                self._reader, self._writer = await asyncio.open_connection(sock=ours)
                path = [_ROOT, *(entry for entry in sys.path if entry)]
                number = theirs.fileno()
                arguments = [str(number), str(os.getpid()), str(self._memory), json.dumps(path)]
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", str(Path(protocol.__file__)), *arguments),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    pass_fds=(number,),
                    start_new_session=True,
                    env={
                        **self._environment,
                        "PYTHONHASHSEED": "0",
                        "OMP_NUM_THREADS": "1",
                        "PYTHONIOENCODING": "utf-8:backslashreplace",  # a print costs no verdict
                    },
                )
            self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Hand replies to their calls until the worker is gone."""
        assert self._process is not None, "started"
        try:
            while True:
                reply = await protocol.receive(self._reader)
                call = self._under_way.get(reply["id"])
                if call is not None and "loaded" in reply:
                    call.loaded.set_result(None)
                elif call is not None:
                    call.reply.set_result(reply)
        except (asyncio.IncompleteReadError, OSError, ValueError, TypeError, KeyError) as error:
            self.usable = False
            trouble = "" if isinstance(error, asyncio.IncompleteReadError | OSError) else str(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    code = await self._process.wait()
                    trouble = f"signal {-code}" if code < 0 else f"exit status {code}"
            for call in self._under_way.values():
                if not call.reply.done():
                    call.reply.set_result({"gone": trouble})
        finally:
            self.kill()
            self._writer.close()

    def kill(self) -> None:
        """End the worker and what it started; may be called twice."""
        self.usable = False
        if self._process is not None and self._process.returncode is None:
            how = signal.SIGTERM if sys.platform == "linux" else signal.SIGKILL  # to the guard
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(how)

    async def end(self, at_end: str, limit_s: float) -> None:
        """Let it run `at_end` and leave; kill it where calls are under way or it takes too long."""
        self.usable = False
        if self._process is None:
            return
        try:
            if not self._under_way:
                self._writer.write(protocol.frame({"end": at_end}))
                async with asyncio.timeout(limit_s):
                    await self._process.wait()
        except (TimeoutError, OSError):
            pass  # it is killed
        finally:
            self.kill()
            await self._process.wait()
            if self._reading is not None:
                self._reading.cancel()


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
                except _WorkerGone as error:
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
            self._processes: list[_WorkerProcess] = []
            self._ending: set[asyncio.Task[None]] = set()

    def _with_room(self) -> _WorkerProcess:
        """The fullest process with room for one more call, or a new one."""
        self._processes = [process for process in self._processes if process.usable]
        free = [process for process in self._processes if process.load < self._at_once]
        if free:
            return max(free, key=lambda process: process.load)
        process = _WorkerProcess(self._memory, clean_environment(self._environment))
        self._processes.append(process)
        return process

    def _replace_old(self, process: _WorkerProcess) -> None:
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
