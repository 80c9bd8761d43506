"""Runs a program that reads standard input and prints, once for each request of the grader.

Each run is a new process that locks itself down, with a temporary folder that is empty. The process
that serves the requests stays as it is after `isolate`, and never runs anything of the program.
"""

import json
import os
import signal
from typing import TextIO

from rewards.sandbox.inside import program
from rewards.sandbox.inside.codec import Plain
from rewards.sandbox.inside.launch_order import LaunchOrder
from rewards.sandbox.inside.lock import lock
from rewards.sandbox.inside.seccomp import seal

_STDIN = ".stdin"  # a file without a name once it is open

Message = dict[str, Plain]  # one JSON object


def send(stream: int, answer: Message) -> None:
    data = memoryview(json.dumps(answer).encode() + b"\n")
    while data:
        data = data[os.write(stream, data) :]


def serve_runs(order: LaunchOrder, lines: TextIO, streams: tuple[int, int]) -> None:
    """One run of the program for each request; returns when the grader hangs up."""
    if order.folder:
        os.chdir(order.folder)
    send(streams[1], {"ready": True})
    for number, line in enumerate(lines, 1):
        run_order = order
        if order.level == "rlimits":  # the trainer removes them all at the end
            folder = f"{order.folder}/{number}"
            os.mkdir(folder, 0o700)
            if order.user >= 0:
                os.chown(folder, order.user, order.user)
            run_order = order._replace(folder=folder)
        send(streams[1], run_once(run_order, json.loads(line), streams))


def run_once(order: LaunchOrder, request: Message, streams: tuple[int, int]) -> Message:
    """Fork, lock, seal, execute; returns what was printed (hex), and the exit status.

    `sealed` is false when the process ended before the program began: the sandbox's own failure.

    streams: open files of this process that the program must not get.
    """
    with open(_STDIN, "xb") as file:
        file.write(request["stdin"].encode("utf-8", "surrogatepass"))
    entry, into, sign = os.open(_STDIN, os.O_RDONLY), os.pipe(), os.pipe()
    os.unlink(_STDIN)
    server = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(entry, 0)
            os.dup2(into[1], 1)
            for stream in (*streams, *into, entry, sign[0]):
                os.close(stream)
            start_run(order, request, sign[1], server)
        finally:
            os._exit(1)
    for end in (into[1], entry, sign[1]):
        os.close(end)
    sealed = os.read(sign[0], 1) == b"1"
    os.close(sign[0])
    pieces: list[bytes] = []
    total, most = 0, request["most"]
    while total <= most and (piece := os.read(into[0], 1 << 16)):
        pieces.append(piece)
        total += len(piece)
    output = b"".join(pieces)[: most + 1]
    if total > most:
        os.kill(child, signal.SIGKILL)
    os.close(into[0])
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return {"sealed": sealed, "output": output.hex(), "status": code}


def start_run(order: LaunchOrder, request: Message, sign: int, server: int) -> None:
    """What the forked process does until the program runs."""
    os.setsid()  # so that a signal to its group is one to itself
    seconds = min(request["cpu_s"], order.cpu_s)
    lock(order._replace(cpu_s=seconds), parent=server)
    if order.folder:
        os.environ["HOME"] = os.environ["TMPDIR"] = order.folder
    namespace = program.fresh_module("__main__")
    program.provide_usual_imports(request["source"], namespace)
    program.silence(2)
    seal(order)
    os.write(sign, b"1")
    os.close(sign)
    program.run_forked(request["source"], namespace)
