"""The untrusted side of a trial: loads the program and answers the judge's requests, one a line.

It holds the program and the arguments of the calls so far; tests and expected values never come
here. Whatever the program does to this process, it can only change its own answers.

    judge --request--> serve: begin, then load | call | name | get | set | item | length | items |
          <--answer---        text, or run, each time; {"value": ...} or {"error": [type, message]}
"""

import json
import math
import os
import resource
import time
from collections.abc import Callable
from typing import Any

from rewards.sandbox.inside import program, script
from rewards.sandbox.inside.codec import Decoder, Encoder, NotPlain
from rewards.sandbox.inside.launch_order import Order
from rewards.sandbox.inside.seal import seal

Respond = Callable[[dict[str, Any]], dict[str, Any]]


def main(order: Order) -> None:
    """Answer until the judge hangs up; the first request says how the program is to be run."""
    requests, answers = os.dup(0), os.dup(1)
    for stream in (0, 1):
        program.silence(stream)
    with open(requests, encoding="ascii", closefd=False) as lines:
        first = lines.readline()
        if first:
            respond = _prepared(order, json.loads(first), (requests, answers))
            _send(answers, {"ready": True})
        for line in lines:
            _send(answers, respond(json.loads(line)))
    os._exit(0)  # without the program's own exit handlers


def _prepared(order: Order, request: dict[str, Any], streams: tuple[int, int]) -> Respond:
    """Scripts run in processes of their own; anything else runs here, after the seal."""
    if request["script"]:
        return lambda asked: script.run(order, asked, streams)
    server = _Server(program.fresh_module("program"), request["test_s"])
    seal(order)
    program.silence(2)
    return server.answer


def _send(stream: int, answer: dict[str, Any]) -> None:
    data = memoryview(json.dumps(answer).encode() + b"\n")
    while data:
        data = data[os.write(stream, data) :]


class _Server:
    """The program's namespace, and the objects that the judge holds handles of."""

    def __init__(self, namespace: dict[str, Any], test_s: float) -> None:
        self._namespace = namespace
        self._test_s = test_s
        self._handles: list[Any] = []
        self._decoder = Decoder(lambda number, _: self._handles[number])

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        operation: Callable[..., dict[str, Any]] = getattr(self, f"_{request.pop('op')}")
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        used = time.process_time()  # the kernel counts whole seconds, from the beginning
        soft = max(round(used + self._test_s), math.ceil(used + 0.5))
        resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))
        try:
            return operation(**request)
        except BaseException as error:
            return {"error": [type(error).__name__, _message(error)]}

    def _plain(self, value: Any) -> Any:
        return Encoder(self._keep).encode(value)

    def _keep(self, value: Any) -> Any:
        self._handles.append(value)
        return {"o": [len(self._handles) - 1, type(value).__name__]}

    def _load(self, sources: list[str], usual_imports: bool) -> dict[str, Any]:
        """Run the program's parts one after the other, as one module that is not `__main__`."""
        if usual_imports:
            program.provide_usual_imports("\n".join(sources), self._namespace)
        for source in sources:
            code = compile(source, program.FILE_NAME, "exec", dont_inherit=True)
            exec(code, self._namespace)
        return {"value": None}

    def _name(self, name: str) -> dict[str, Any]:
        """A global of the program; a method of the class `Solution` counts as one."""
        if name in self._namespace:
            return {"value": self._plain(self._namespace[name])}
        solution = self._namespace.get("Solution")
        if solution is None:
            raise NameError(f"the program does not define '{name}'")
        return {"value": self._plain(getattr(solution(), name))}

    def _call(self, handle: int, args: Any, options: Any, echo: bool) -> dict[str, Any]:
        """Call; with `echo`, changed arguments come back from a call that returns nothing else.

        Only from those: a test that compares a result with its own argument, `f(x) == sorted(x)`,
        could otherwise be met by emptying the argument.
        """
        values = self._decoder.decode(args)
        before = json.dumps(args) if echo else ""
        keywords = self._decoder.decode(options)
        result = {"value": self._plain(self._handles[handle](*values, **keywords))}
        if echo and result["value"] is None:
            after = self._plain(values)
            if json.dumps(after) != before:
                result["args"] = after
        return result

    def _get(self, handle: int, name: str) -> dict[str, Any]:
        return {"value": self._plain(getattr(self._handles[handle], name))}

    def _set(self, handle: int, name: str, value: Any) -> dict[str, Any]:
        setattr(self._handles[handle], name, self._decoder.decode(value))
        return {"value": None}

    def _item(self, handle: int, key: Any) -> dict[str, Any]:
        return {"value": self._plain(self._handles[handle][self._decoder.decode(key)])}

    def _length(self, handle: int) -> dict[str, Any]:
        return {"value": len(self._handles[handle])}

    def _items(self, handle: int) -> dict[str, Any]:
        return {"value": self._plain(iter(self._handles[handle]))}

    def _text(self, handle: int) -> dict[str, Any]:
        return {"value": str.__str__(str(self._handles[handle]))}


def _message(error: BaseException) -> str:
    """The exception's own text; it may itself raise, or be no text at all."""
    try:
        return str.__str__(str(error))[:300] if not isinstance(error, NotPlain) else str(error)
    except BaseException:
        return ""
