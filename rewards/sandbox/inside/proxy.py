"""The judge's view of the untrusted program: a pipe, and objects that stand for its objects.

A `Remote` forwards calls and attributes and hands back plain data. It refuses to be compared,
because its answer would come from the program, and a test that compares it fails.
"""

import builtins
import contextlib
import json
import os
import select
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from rewards.sandbox.inside.codec import Decoder, Encoder

# Raised inside `map` or a loop, these would end it early and quietly: `all(map(f, cases))`.
_CONTROL_FLOW = (StopIteration, StopAsyncIteration, AssertionError)


_MALFORMED = (
    ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError
)  # fmt: skip


class Hung(BaseException):
    """The program did not answer in time; not an Exception, so that no test can swallow it."""


class Gone(BaseException):
    """The program's process ended, or it said something that is no answer."""


class NotStarted(BaseException):
    """The program's process was not locked down, so the program never ran."""


class Unsendable(BaseException):
    """A test passes something that cannot travel, such as a function: the test's fault."""


class RemoteError(Exception):
    """The program raised something that is not a built-in exception."""


class Channel:
    """Requests to the program's process, and its answers, each within a time limit.

    most_bytes: longest answer that is read.
    """

    def __init__(self, requests: int, answers: int, *, most_bytes: int) -> None:
        os.set_blocking(requests, False)
        self._requests, self._answers = requests, answers
        self.most_bytes = most_bytes
        self._rest = b""
        self.limit_s = 0.0  # of the next requests, each
        self.deadline = 0.0  # of all of them, on the monotonic clock
        self.waited_s = 0.0  # for the last answer
        self.broken: BaseException | None = None  # sticky, whatever a test makes of it

    def begin(self, seconds: float, *, script: bool, test_s: float) -> None:
        """Wait until the other side is locked down; nothing of the program has run before that."""
        self.limit_s, self.deadline = seconds, time.monotonic() + seconds
        try:
            self.ask({"op": "begin", "script": script, "test_s": test_s})
        except (Hung, Gone) as failure:
            raise NotStarted(f"the sandbox did not start: {failure}") from None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send and wait; raises what the program raised, or Hung, or Gone."""
        if self.broken is not None:
            raise self.broken
        started = time.monotonic()
        until = min(started + self.limit_s, self.deadline)
        try:
            self._write(json.dumps(request).encode() + b"\n", until)
            answer = self._answer(until)
        except (Hung, Gone) as failure:
            self.broken = failure
            raise
        finally:
            self.waited_s = time.monotonic() - started
        if "error" in answer:
            _raise(answer["error"])
        return answer

    def _answer(self, until: float) -> dict[str, Any]:
        try:
            answer = json.loads(self._line(until))
            if isinstance(answer, dict):
                return answer
        except (ValueError, RecursionError, MemoryError):
            pass
        raise Gone("the program wrote into the channel of its answers")

    def _line(self, until: float) -> bytes:
        pieces = [self._rest]
        size = len(self._rest)
        while b"\n" not in pieces[-1]:
            self._wait(self._answers, select.POLLIN, until)
            piece = os.read(self._answers, 1 << 20)
            if not piece:
                raise Gone("the program ended its process")
            pieces.append(piece)
            size += len(piece)
            if size > self.most_bytes:
                raise Gone(f"the program's answer is longer than {self.most_bytes} bytes")
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        return line

    def _write(self, data: bytes, until: float) -> None:
        left = memoryview(data)
        while left:
            self._wait(self._requests, select.POLLOUT, until)
            try:
                left = left[os.write(self._requests, left[: 1 << 16]) :]
            except BrokenPipeError:
                raise Gone("the program ended its process") from None

    @staticmethod
    def _wait(stream: int, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(stream, event)
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise Hung("the program did not answer in time")


def _raise(error: Any) -> NoReturn:
    """The program's exception: the built-in one of that name, so that tests can expect it."""
    name, text = map(str, error) if isinstance(error, list) and len(error) == 2 else ("?", "")
    known = vars(builtins).get(name)
    raised: Exception = RemoteError(f"{name}: {text}")
    if isinstance(known, type) and issubclass(known, Exception) and known not in _CONTROL_FLOW:
        with contextlib.suppress(TypeError):  # some need more than a text
            raised = known(text)
    raise raised


class Program:
    """The whole program: its globals by name, as plain values or as `Remote` objects."""

    def __init__(self, channel: Channel, *, echo: bool) -> None:
        self.channel = channel
        self.echo = echo  # whether changed arguments come back
        self._decoder = Decoder(lambda number, kind: Remote(self, number, kind))

    def load(self, sources: list[str], *, usual_imports: bool) -> None:
        self.channel.ask({"op": "load", "sources": sources, "usual_imports": usual_imports})

    def name(self, name: str) -> Any:
        return self.ask(op="name", name=name)

    def ask(self, **request: Any) -> Any:
        return self.read(self.channel.ask(request).get("value"))

    def call(self, handle: int, args: list[Any], options: dict[str, Any]) -> Any:
        request = {"op": "call", "handle": handle, "echo": self.echo}
        request |= {"args": self.send(args), "options": self.send(options)}
        answer = self.channel.ask(request)
        if "args" in answer and answer.get("value") is None:  # also when the program forges it
            _copy_back(args, self.read(answer["args"]))
        return self.read(answer.get("value"))

    def send(self, value: Any) -> Any:
        return Encoder(_handle_of).encode(value)

    def read(self, value: Any) -> Any:
        """Decode; malformed data is the program's doing."""
        try:
            return self._decoder.decode(value)
        except _MALFORMED as error:
            self.channel.broken = Gone(f"the program's answer is not plain data: {error}")
            raise self.channel.broken from None


def _handle_of(value: Any) -> Any:
    if isinstance(value, Remote):
        return {"o": [object.__getattribute__(value, "_handle"), ""]}
    raise Unsendable(f"a test passes a {type(value).__name__} to the program")


def _copy_back(args: list[Any], after: Any) -> None:
    """Make the judge's own arguments what the call left of them; only containers can differ."""
    if not isinstance(after, list) or len(after) != len(args):
        return
    for mine, theirs in zip(args, after, strict=True):
        if isinstance(mine, list | bytearray) and isinstance(theirs, type(mine)):
            mine[:] = theirs
        elif isinstance(mine, dict | set) and isinstance(theirs, type(mine)):
            mine.clear()
            mine.update(theirs)


class Remote:
    """An object inside the program: a function, a class, an instance, a generator's maker."""

    def __init__(self, program: Program, handle: int, kind: str) -> None:
        for name, value in (("_program", program), ("_handle", handle), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._program.call(self._handle, list(args), options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._program.ask(op="get", handle=self._handle, name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        sent = self._program.send(value)
        self._program.ask(op="set", handle=self._handle, name=name, value=sent)

    def __getitem__(self, key: Any) -> Any:
        return self._program.ask(op="item", handle=self._handle, key=self._program.send(key))

    def __len__(self) -> int:
        return int(self._program.ask(op="length", handle=self._handle))

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._program.ask(op="items", handle=self._handle)))

    def __str__(self) -> str:
        return str(self._program.ask(op="text", handle=self._handle))

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError(f"the answer is a {self._kind}, not plain data that can be compared")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __bool__ = __hash__ = __contains__ = _refuse
