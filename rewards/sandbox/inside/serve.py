"""The untrusted side of a trial: loads the program and answers the grader's requests, one a line.

It holds the program and the arguments of the calls so far; tests and expected values never come
here. Whatever the program does to this process, it can only change its own answers.

    grader --request--> serve: begin, then load | call | name | get | set | item | length | items |
           <--answer---        text; {"value": ...} or {"error": [type, message]}

A program that reads standard input is another matter: see runs.py.
"""

import contextlib
import json
import os
from collections.abc import Callable

from rewards.sandbox.inside import program, runs
from rewards.sandbox.inside.codec import DATA_TYPES, Decoder, Encoder, Plain
from rewards.sandbox.inside.launch_order import LaunchOrder
from rewards.sandbox.inside.lock import lock
from rewards.sandbox.inside.runs import Message
from rewards.sandbox.inside.seccomp import seal


def main(order: LaunchOrder) -> None:
    """Answer until the grader hangs up; the first request says how the program is to be run."""
    requests, answers = os.dup(0), os.dup(1)
    for stream in (0, 1):
        program.silence(stream)
    with open(requests, encoding="ascii", closefd=False) as lines:
        first = lines.readline()
        if first and json.loads(first)["script"]:
            runs.serve_runs(order, lines, (requests, answers))
        elif first:
            lock(order)
            server = _Server(program.fresh_module("program"))
            seal(order)
            program.silence(2)
            runs.send(answers, {"ready": True})
            for line in lines:
                runs.send(answers, server.answer(json.loads(line)))
    os._exit(0)  # without the program's own exit handlers


class _Server:
    """The program's namespace, and the objects that the grader holds handles of."""

    def __init__(self, namespace: program.Namespace) -> None:
        self._namespace = namespace
        self._handles: list[Plain] = []
        self._decoder = Decoder(lambda number, _: self._handles[number])
        self._operations: dict[str, Callable[..., Message]] = {
            "load": self.load,
            "name": self.name,
            "call": self.call,
            "get": lambda handle, name: self._plain(getattr(self._handles[handle], name)),
            "set": self.set_attribute,
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
            text = ""
            with contextlib.suppress(BaseException):  # it may itself raise, or be no text at all
                text = str.__str__(str(error))[:300]
            return {"error": [type(error).__name__, text]}

    def _plain(self, value: object) -> Message:
        return {"value": Encoder(self._keep, types=DATA_TYPES).encode(value)}

    def _keep(self, value: object) -> Plain:
        self._handles.append(value)
        return {"o": [len(self._handles) - 1, type(value).__name__]}

    def load(self, sources: list[str], usual_imports: bool) -> Message:
        """Run the program's parts one after the other, as one module that is not `__main__`."""
        if usual_imports:
            program.provide_usual_imports("\n".join(sources), self._namespace)
        for source in sources:
            exec(program.compiled(source), self._namespace)
        return {"value": None}

    def name(self, name: str) -> Message:
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

    def call(self, handle: int, args: Plain, options: Plain, echo: bool) -> Message:
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

    def set_attribute(self, handle: int, name: str, value: Plain) -> Message:
        setattr(self._handles[handle], name, self._decoder.decode(value))
        return {"value": None}
