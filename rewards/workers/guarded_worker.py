"""The processes at the other end of `rewards.workers.process`: a guard, and below it the worker.

    trainer --socket--> worker: imports a function, calls it, replies
       |                  ^
       +--starts--> guard + forks it; ends it, and all that it started, when the trainer is gone

Only the standard library is imported here. A frame is eight bytes of length and that much JSON.
For each request the worker sends two frames: `loaded` once the function is imported and what it
needs is set up (from then on the deadline runs), then the value or the error. Functions that are
`async` run side by side; others one after the other.

The guard is Linux's: it adopts what its descendants leave behind, and the kernel tells it when the
trainer dies. Elsewhere the worker has none, and ends at the end of file on its socket.
"""

import asyncio
import contextlib
import ctypes
import importlib
import inspect
import json
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

LENGTH = struct.Struct(">Q")
LONGEST_FRAME = 64 << 20  # bytes; a longer reply is an error, not a result
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_REAP_S = 5.0  # for descendants that are being killed


def frame(message: object) -> bytes:
    """One message as it goes over the socket."""
    body = json.dumps(message).encode()
    if len(body) > LONGEST_FRAME:
        raise ValueError(f"a message of {len(body)} bytes, at most {LONGEST_FRAME} are allowed")
    return LENGTH.pack(len(body)) + body


async def receive(reader: asyncio.StreamReader) -> Any:
    """Read one frame; EOFError when the other end closes first."""
    (size,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if size > LONGEST_FRAME:
        raise ValueError(f"a frame of {size} bytes, at most {LONGEST_FRAME} are allowed")
    return json.loads(await reader.readexactly(size))


# -- the guard -------------------------------------------------------------------------------------


def guard(trainer: int) -> None:
    """Returns in the worker, a child of this process, which stays behind to clear up after it."""
    if sys.platform != "linux":
        return
    control = ctypes.CDLL(None, use_errno=True).prctl
    signal.signal(signal.SIGTERM, lambda *_: _end_below())
    control(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    control(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != trainer:
        sys.exit(0)  # the trainer died before the line above
    here = os.getpid()
    worker = os.fork()
    if worker == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        control(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != here:
            os._exit(0)
        os.setsid()
        return
    os.closerange(3, 1024)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            _kill_below()
            code = os.waitstatus_to_exitcode(status)
            if code < 0:  # die of the same signal, so that the trainer can name it
                signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
                os.kill(here, -code)
            os._exit(max(code, 0))


def _end_below() -> None:
    _kill_below()
    os._exit(0)


def _kill_below() -> None:
    """Kill and reap every descendant; what they leave behind becomes a child of this process."""
    until = time.monotonic() + _REAP_S
    while time.monotonic() < until:
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return  # none is left
        time.sleep(0.002)


def _descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:
            parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(below - {root})


# -- the worker ------------------------------------------------------------------------------------


class Server:
    """Answers requests until the trainer says `end` or closes the socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._calls: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> str:
        """The function to call at the end; empty where the trainer named none."""
        reader, self._writer = await asyncio.open_connection(sock=self._channel)
        at_end = ""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = await receive(reader)
                if "end" in message:
                    at_end = message["end"]
                    break
                if "cancel" in message:
                    if message["cancel"] in self._calls:
                        self._calls[message["cancel"]].cancel()
                    continue
                self._calls[message["id"]] = asyncio.create_task(self._answer(message))
        return at_end

    async def _answer(self, request: dict[str, Any]) -> None:
        number = request["id"]
        try:
            function = find(request["target"])
            if request["prepare"]:
                await _awaited(find(request["prepare"])(*request["args"]))
            self._send({"id": number, "loaded": True})
            value = await _awaited(function(*request["args"]))
            self._send({"id": number, "value": value})  # fails for what is not plain data
        except MemoryError:
            reason = "MemoryError: the worker is out of memory"
            self._send({"id": number, "error": reason, "spoilt": True})
        except asyncio.CancelledError:
            self._send({"id": number, "error": "cancelled"})
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            text = (
                f"{type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})"
            )
            self._send({"id": number, "error": text[:1000]})
        finally:
            del self._calls[number]

    def _send(self, message: object) -> None:
        self._writer.write(frame(message))


def find(target: str) -> Callable[..., object]:
    """The function that `module:name` names."""
    module, _, name = target.partition(":")
    function: Callable[..., object] = getattr(importlib.import_module(module), name)
    return function


async def _awaited(value: object) -> object:
    return await value if inspect.isawaitable(value) else value


async def _run(channel: socket.socket) -> None:
    at_end = await Server(channel).serve()
    if at_end:
        await _awaited(find(at_end)())


def main(descriptor: int, trainer: int, memory_bytes: int, path: list[str]) -> None:
    """Serve until the trainer ends it; then `atexit` of the functions runs as in any program."""
    guard(trainer)
    if memory_bytes:
        import resource

        # What a process allocates; its address space is far larger where a GPU is used.
        kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
        resource.setrlimit(kind, (memory_bytes, memory_bytes))
    sys.path[:] = path
    asyncio.run(_run(socket.socket(fileno=descriptor)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
