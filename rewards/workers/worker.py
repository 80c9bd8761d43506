"""The process at the other end of `rewards.workers.pool`: imports one function, calls it, replies.

Only the standard library is imported here, so that a worker starts in some 30 ms. A frame is eight
bytes of length and that much JSON. For each request the worker sends two frames: `loaded` once the
function is imported and what it needs is set up (from then on the deadline runs), then the value or
the error.

The kernel kills the worker when the parent dies (Linux); elsewhere it ends at the end of file on
its socket, which a computation that never returns does not see.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

LENGTH = struct.Struct(">Q")
LONGEST_FRAME = 64 << 20  # bytes; a longer reply is an error, not a result
_PR_SET_PDEATHSIG = 1


def frame(message: Any) -> bytes:
    """One message as it goes over the socket."""
    body = json.dumps(message).encode()
    if len(body) > LONGEST_FRAME:
        raise ValueError(f"a message of {len(body)} bytes, at most {LONGEST_FRAME} are allowed")
    return LENGTH.pack(len(body)) + body


def receive(read: Callable[[int], bytes]) -> Any:
    """Read one frame with `read`, a `recv`; EOFError when the other end closes first."""

    def exactly(size: int) -> bytes:
        chunks = []
        while size:
            chunk = read(min(size, 1 << 20))
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    (size,) = LENGTH.unpack(exactly(LENGTH.size))
    if size > LONGEST_FRAME:
        raise ValueError(f"a frame of {size} bytes, at most {LONGEST_FRAME} are allowed")
    return json.loads(exactly(size))


def main(descriptor: int, parent: int, memory_bytes: int, path: list[str]) -> None:
    """Serve requests until the parent closes the socket."""
    _die_with(parent)
    _limit_memory(memory_bytes)
    sys.path[:] = path
    channel = socket.socket(fileno=descriptor)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            request = receive(channel.recv)
            channel.sendall(_answer(channel, request))


def _answer(channel: socket.socket, request: dict[str, Any]) -> bytes:
    try:
        function = _find(request["target"])
        if request["prepare"]:
            _find(request["prepare"])(*request["args"])
        channel.sendall(frame({"loaded": True}))
        value = function(*request["args"])
        return frame({"value": value})  # what is not plain data fails here, and is reported
    except MemoryError:
        return frame({"error": "MemoryError: the worker is out of memory", "spoilt": True})
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = (
            f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"
        )
        return frame({"error": text[:1000]})


def _find(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)  # the parent died before the line above


def _limit_memory(limit: int) -> None:
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
