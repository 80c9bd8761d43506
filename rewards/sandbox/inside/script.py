"""Runs a program that reads standard input and prints, once for each test, in a new process."""

import os
import resource
import signal
import sys
from typing import Any, NoReturn

from rewards.sandbox.inside import kernel, program
from rewards.sandbox.inside.launch_order import Order
from rewards.sandbox.inside.seal import seal


def run(order: Order, request: dict[str, Any], streams: tuple[int, ...]) -> dict[str, Any]:
    """Fork, seal, execute; returns what was printed (hex), and the exit status.

    `sealed` is false when the process ended before the program began: the sandbox's own failure.

    streams: open files of this process that the program must not get.
    """
    entry, into, sign = _file_with(request["stdin"]), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(entry, 0)
        os.dup2(into[1], 1)
        for stream in (*streams, *into, entry, sign[0]):
            os.close(stream)
        _execute(order, request, sign[1])
    for end in (into[1], entry, sign[1]):
        os.close(end)
    sealed = os.read(sign[0], 1) == b"1"
    os.close(sign[0])
    output = _read(into[0], request["most"])
    if len(output) > request["most"]:
        os.kill(child, signal.SIGKILL)
    os.close(into[0])
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return {"sealed": sealed, "output": output[: request["most"] + 1].hex(), "status": code}


def _execute(order: Order, request: dict[str, Any], sign: int) -> NoReturn:
    try:
        if sys.platform == "linux":
            kernel.die_with_parent(os.getppid())  # not inherited
        seconds = request["cpu_s"]
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, min(seconds + 1, order.cpu_s + 1)))
        namespace = program.fresh_module("__main__")
        program.provide_usual_imports(request["source"], namespace)
        program.silence(2)
        seal(order)
        os.write(sign, b"1")
        os.close(sign)
        program.run(request["source"], namespace)
    except SystemExit as end:
        _leave(end.code)
    finally:
        os._exit(1)


def _leave(code: Any) -> NoReturn:
    """End as an interpreter would, without returning into the code that forked."""
    import atexit
    import threading

    try:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        os._exit(1)
    os._exit(0 if code is None else code & 255 if isinstance(code, int) else 1)


def _file_with(text: str) -> int:
    """An unnamed file with this content, open at its start."""
    name = ".stdin"
    file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(name)
    data = memoryview(text.encode("utf-8", "surrogatepass"))
    while data:
        data = data[os.write(file, data) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _read(stream: int, most: int) -> bytes:
    """Until the end, or a little beyond `most` bytes."""
    pieces, total = [], 0
    while total <= most and (piece := os.read(stream, 1 << 16)):
        pieces.append(piece)
        total += len(piece)
    return b"".join(pieces)
