"""One killable process and the socket to it: starting it, calls under way, and its end.

    WorkerProcess.call() --socket--> guard --> worker (`guarded_worker.py`)

It lives on the background loop. The deadline of a call runs from the moment the worker has imported
the function. A worker that misses a deadline is killed, and what it started with it; which calls
its end is to be blamed on decides who is called again (`WorkerGone`).
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

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


class WorkerGone(Exception):
    """The worker ended before a call had begun, or for what another call did."""


@dataclass(eq=False)
class _Call:
    loaded: asyncio.Future[None]
    reply: asyncio.Future[dict[str, JSON]]


class WorkerProcess:
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
        """The result of one call; raises WorkerGone where it did not begin, or is not to blame."""
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
                raise WorkerGone(reply["gone"])
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
        except WorkerGone as error:
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
