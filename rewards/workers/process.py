"""One worker process as its pool sees it: start it, send it a call, kill it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rewards.types import JSON
from rewards.workers import worker as protocol

_ROOT = str(Path(__file__).resolve().parents[2])


# What a worker sees of the parent's environment: where things lie, never a key or a token.
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
class Outcome:
    """What became of one call: a value, or a failure with its reason."""

    value: JSON = None
    failure: Failure = Failure.NONE
    reason: str = ""
    seconds: float = 0.0  # from the start of the work in the worker; 0 when it never started

    @property
    def failed(self) -> bool:
        return self.failure is not Failure.NONE


class WorkerProcess:
    """One worker process and the socket to it; used by one thread, killed from any."""

    def __init__(self, memory: int, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self._channel = ours
        self.calls = 0
        self._killing = threading.Lock()
        self._killed = False
        with theirs:
            number = theirs.fileno()
            path = [_ROOT, *(entry for entry in sys.path if entry)]
            arguments = [str(number), str(os.getpid()), str(memory), json.dumps(path)]
            try:
                self._child = subprocess.Popen(
                    [sys.executable, "-P", str(Path(protocol.__file__)), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(number,),
                    start_new_session=True,
                    env={**environment, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
                )
            except OSError:
                ours.close()
                raise

    def call(
        self,
        target: str,
        args: tuple[JSON, ...],
        *,
        prepare: str,
        deadline_s: float,
        start_s: float,
    ) -> tuple[Outcome, bool]:
        """The outcome, and whether the worker can serve again."""
        self.calls += 1
        began = 0.0
        try:
            request = protocol.frame({"target": target, "args": args, "prepare": prepare})
        except (TypeError, ValueError) as error:
            return Outcome(failure=Failure.RAISED, reason=f"not plain data: {error}"), True
        try:
            self._channel.settimeout(start_s)
            self._channel.sendall(request)
            reply = self._receive(start_s)
            if "loaded" in reply:
                began = time.monotonic()
                reply = self._receive(deadline_s)
        except TimeoutError:
            if began:
                reason = f"no result within {deadline_s:g} s; the worker was killed"
                return Outcome(failure=Failure.DEADLINE, reason=reason, seconds=deadline_s), False
            reason = f"the worker did not start within {start_s:g} s"
            return Outcome(failure=Failure.START, reason=reason), False
        except (EOFError, OSError, ValueError) as error:
            kind = Failure.DIED if began else Failure.START
            reason = f"the worker died: {self._exit() or error}"
            return Outcome(failure=kind, reason=reason), False
        seconds = time.monotonic() - began if began else 0.0
        if "error" in reply:
            outcome = Outcome(failure=Failure.RAISED, reason=reply["error"], seconds=seconds)
            return outcome, not reply.get("spoilt", False)
        return Outcome(value=reply["value"], seconds=seconds), True

    def kill(self) -> None:
        """End the worker and what it started; may be called twice."""
        with self._killing:
            if not self._killed:
                self._killed = True
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()

    def _receive(self, limit_s: float) -> dict[str, JSON]:
        """One frame within `limit_s`, however slowly its bytes arrive."""
        until = time.monotonic() + limit_s

        def read(size: int) -> bytes:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._channel.settimeout(left)
            return self._channel.recv(size)

        reply = protocol.receive(read)
        if not isinstance(reply, dict):
            raise ValueError(f"a reply that is not an object: {reply!r:.80}")
        return reply

    def _exit(self) -> str:
        try:
            code = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return ""
        return f"signal {-code}" if code < 0 else f"exit status {code}"
