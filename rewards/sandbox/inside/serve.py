"""The untrusted side of a trial: loads the program and answers the grader's requests, one a line.

It holds the program and the arguments of the calls so far; tests and expected values never come
here. Whatever the program does to this process, it can only change its own answers.

    grader --request--> serve: begin, then load | call | name | get | set | item | length | items |
           <--answer---        text; {"value": ...} or {"error": [type, message]}

A program that reads standard input and prints is run once for each request, each time in a new
process that locks itself down, with an empty temporary folder. This process then stays as it is
after `isolate`, and never runs anything of the program.
"""

import json
import os
import signal
from collections.abc import Callable
from typing import TextIO

from rewards.sandbox.inside import program
from rewards.sandbox.inside.codec import DATA_TYPES, Decoder, Encoder, Plain
from rewards.sandbox.inside.launch_order import LaunchOrder
from rewards.sandbox.inside.lock import lock
from rewards.sandbox.inside.seccomp import seal

Message = dict[str, Plain]  # one JSON object


def main(order: LaunchOrder) -> None:
    """Answer until the grader hangs up; the first request says how the program is to be run."""
    requests, answers = os.dup(0), os.dup(1)
    for stream in (0, 1):
        program.silence(stream)
    with open(requests, encoding="ascii", closefd=False) as lines:
        first = lines.readline()
        if first and json.loads(first)["script"]:
            _serve_runs(order, lines, (requests, answers))
        elif first:
            lock(order)
            server = _Server(program.fresh_module("program"))
            seal(order)
            program.silence(2)
            _send(answers, {"ready": True})
            for line in lines:
                _send(answers, server.answer(json.loads(line)))
    os._exit(0)  # without the program's own exit handlers


def _send(stream: int, answer: Message) -> None:
    data = memoryview(json.dumps(answer).encode() + b"\n")
    while data:
        data = data[os.write(stream, data) :]


def _serve_runs(order: LaunchOrder, lines: TextIO, streams: tuple[int, int]) -> None:
    """One run of the program for each request; returns when the grader hangs up."""
    if order.folder:
        os.chdir(order.folder)
    _send(streams[1], {"ready": True})
    for number, line in enumerate(lines, 1):
        run_order = order
        if order.level == "rlimits":  # the trainer removes them all at the end
            folder = f"{order.folder}/{number}"
            os.mkdir(folder, 0o700)
            if order.user >= 0:
                os.chown(folder, order.user, order.user)
            run_order = order._replace(folder=folder)
        _send(streams[1], _run_once(run_order, json.loads(line), streams))


def _run_once(order: LaunchOrder, request: Message, streams: tuple[int, int]) -> Message:
    """Fork, lock, seal, execute; returns what was printed (hex), and the exit status.

    `sealed` is false when the process ended before the program began: the sandbox's own failure.

    streams: open files of this process that the program must not get.
    """
    entry, into, sign = _file_with(request["stdin"]), os.pipe(), os.pipe()
    server = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(entry, 0)
            os.dup2(into[1], 1)
            for stream in (*streams, *into, entry, sign[0]):
                os.close(stream)
            _start_run(order, request, sign[1], server)
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


def _start_run(order: LaunchOrder, request: Message, sign: int, server: int) -> None:
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


def _file_with(text: str) -> int:
    """An unnamed file with this content, open at its start for reading alone."""
    name = ".stdin"
    with open(name, "xb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
    reading = os.open(name, os.O_RDONLY)
    os.unlink(name)
    return reading


class _Server:
    """The program's namespace, and the objects that the grader holds handles of."""

    def __init__(self, namespace: program.Namespace) -> None:
        self._namespace = namespace
        self._handles: list[Plain] = []
        self._decoder = Decoder(lambda number, _: self._handles[number])
        self._operations: dict[str, Callable[..., Message]] = {
            "load": self._load,
            "name": self._name,
            "call": self._call,
            "get": lambda handle, name: self._plain(getattr(self._handles[handle], name)),
            "set": self._set,
            "item": lambda handle, key: self._plain(
                self._handles[handle][self._decoder.decode(key)]
            ),
            "length": lambda handle: {"value": len(self._handles[handle])},
            "items": lambda handle: self._plain(iter(self._handles[handle])),
            "text": lambda handle: {"value": str.__str__(str(self._handles[handle]))},
        }

    def answer(self, request: Message) -> Message:
        try:
            return self._operations[request.pop("op")](**request)
        except BaseException as error:
            return {"error": [type(error).__name__, _message(error)]}

    def _plain(self, value: object) -> Message:
        return {"value": Encoder(self._keep, types=DATA_TYPES).encode(value)}

    def _keep(self, value: object) -> Plain:
        self._handles.append(value)
        return {"o": [len(self._handles) - 1, type(value).__name__]}

    def _load(self, sources: list[str], usual_imports: bool) -> Message:
        """Run the program's parts one after the other, as one module that is not `__main__`."""
        if usual_imports:
            program.provide_usual_imports("\n".join(sources), self._namespace)
        for source in sources:
            exec(program.compiled(source), self._namespace)
        return {"value": None}

    def _name(self, name: str) -> Message:
        """A global of the program; a method of the class `Solution` counts as one.

        A class is always a handle: the tests call it here, whatever built-in class it may be.
        """
        if name in self._namespace:
            value = self._namespace[name]
            return {"value": self._keep(value)} if isinstance(value, type) else self._plain(value)
        solution = self._namespace.get("Solution")
        if not isinstance(solution, type):
            raise NameError(f"the program does not define '{name}'")
        return self._plain(getattr(solution(), name))

    def _call(self, handle: int, args: Plain, options: Plain, echo: bool) -> Message:
        """Call; with `echo`, changed arguments come back from a call that returns nothing else.

        Only from those: a test that compares a result with its own argument, `f(x) == sorted(x)`,
        could otherwise be met by emptying the argument.
        """
        values = self._decoder.decode(args)
        before = json.dumps(args) if echo else ""
        keywords = self._decoder.decode(options)
        result = self._plain(self._handles[handle](*values, **keywords))
        if echo and result["value"] is None:
            after = self._plain(values)["value"]
            if json.dumps(after) != before:
                result["args"] = after
        return result

    def _set(self, handle: int, name: str, value: Plain) -> Message:
        setattr(self._handles[handle], name, self._decoder.decode(value))
        return {"value": None}


def _message(error: BaseException) -> str:
    """The exception's own text; it may itself raise, or be no text at all."""
    try:
        return str.__str__(str(error))[:300]
    except BaseException:
        return ""
