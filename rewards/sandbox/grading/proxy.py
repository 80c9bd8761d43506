"""The grader's view of the untrusted program: a pipe, and objects that stand for its objects.

A `RemoteObject` forwards calls and attributes and hands back plain data. It refuses to be compared,
because its answer would come from the program, and a test that compares it fails.
"""

import builtins
import contextlib
import json
import os
import struct
from collections.abc import Iterator
from types import BuiltinFunctionType, ModuleType
from typing import NoReturn

from rewards.sandbox.inside.codec import ALL_TYPES, DATA_TYPES, Decoder, Encoder, Plain

TEST_NAME = "tests.py"  # the file name of test code
TURNS = "=Q?"  # what `Channel` leaves for the trainer

# Raised inside `map` or a loop, these would end it early and quietly: `all(map(f, cases))`.
_CONTROL_FLOW = (StopIteration, StopAsyncIteration, AssertionError)
_MALFORMED = (
    ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MemoryError, ImportError
)  # fmt: skip


class Gone(BaseException):
    """The program's process ended, or it wrote something that is not an answer.

    Not an Exception, so that no test can swallow it.
    """


class NotStarted(BaseException):
    """The program's process was not locked down, so the program never ran."""


class Unsendable(BaseException):
    """A test passes something that cannot travel, such as a function: the test's fault."""


class RemoteError(Exception):
    """The program raised something that is not a built-in exception."""

    @classmethod
    def of(cls, error: Plain) -> Exception:
        """The built-in exception of that name, so that tests can expect it; else this one."""
        name, text = map(str, error) if isinstance(error, list) and len(error) == 2 else ("?", "")
        known = vars(builtins).get(name)
        if isinstance(known, type) and issubclass(known, Exception) and known not in _CONTROL_FLOW:
            with contextlib.suppress(TypeError):  # some need more than a text
                return known(text)
        return cls(f"{name}: {text}")


class Channel:
    """Requests to the program's process, and its answers. Who waits for whom is in `turns`.

    turns: an open file for the trainer, who alone measures time: the number of turns so far, odd
    while the program is asked for something and even otherwise; then whether each request is a
    process of its own.
    most_bytes: longest answer that is read.
    """

    def __init__(self, requests: int, answers: int, turns: int, *, most_bytes: int) -> None:
        self._requests, self._answers, self._turns = requests, answers, turns
        self.most_bytes = most_bytes
        self._rest = b""
        self._turn, self._script = 0, False
        self.broken: BaseException | None = None  # sticky, whatever a test makes of it

    def begin(self, *, script: bool) -> None:
        """Wait until the other side is ready; nothing of the program has run before that."""
        self._script = script
        try:
            self.ask({"op": "begin", "script": script})
        except Gone as failure:
            raise NotStarted(f"the sandbox did not start: {failure}") from None

    def ask(self, request: dict[str, Plain]) -> dict[str, Plain]:
        """Send and wait; raises what the program raised, or Gone."""
        if self.broken is not None:
            raise self.broken
        self._next_turn()
        try:
            left = memoryview(json.dumps(request).encode() + b"\n")
            while left:
                left = left[os.write(self._requests, left) :]
            answer = self._answer()
        except BrokenPipeError:
            self.broken = Gone("the program ended its process")
            raise self.broken from None
        except Gone as failure:
            self.broken = failure
            raise
        finally:
            self._next_turn()
        if "error" in answer:
            raise RemoteError.of(answer["error"])
        return answer

    def _next_turn(self) -> None:
        self._turn += 1
        os.pwrite(self._turns, struct.pack(TURNS, self._turn, self._script), 0)

    def _answer(self) -> dict[str, Plain]:
        pieces = [self._rest]
        size = len(self._rest)
        while b"\n" not in pieces[-1]:
            piece = os.read(self._answers, 1 << 20)
            if not piece:
                raise Gone("the program ended its process")
            pieces.append(piece)
            size += len(piece)
            if size > self.most_bytes:
                raise Gone(f"the program's answer is longer than {self.most_bytes} bytes")
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        with contextlib.suppress(ValueError, RecursionError, MemoryError):
            answer = json.loads(line)
            if isinstance(answer, dict):
                return answer
        raise Gone("the program wrote into the channel of its answers")


class RemoteProgram:
    """The whole program: its globals by name, as plain values or as handles."""

    def __init__(self, channel: Channel, *, echo: bool) -> None:
        self.channel = channel
        self.echo = echo  # whether changed arguments come back
        self._decoder = Decoder(
            lambda number, kind: RemoteObject(self, number, kind), types=DATA_TYPES
        )

    def load(self, sources: list[str], *, usual_imports: bool) -> None:
        self.channel.ask({"op": "load", "sources": sources, "usual_imports": usual_imports})

    def name(self, name: str) -> Plain:
        return self.ask(op="name", name=name)

    def ask(self, **request: Plain) -> Plain:
        return self.read(self.channel.ask(request).get("value"))

    def call(self, handle: int, args: list[Plain], options: dict[str, Plain]) -> Plain:
        request = {"op": "call", "handle": handle, "echo": self.echo}
        request |= {"args": self.send(args), "options": self.send(options)}
        answer = self.channel.ask(request)
        if "args" in answer and answer.get("value") is None:  # also when the program forges it
            _copy_back(args, self.read(answer["args"]))
        return self.read(answer.get("value"))

    def send(self, value: Plain) -> Plain:
        return Encoder(_handle_of, types=ALL_TYPES).encode(value)

    def read(self, value: Plain) -> Plain:
        """Decode; malformed data is the program's doing."""
        try:
            return self._decoder.decode(value)
        except _MALFORMED as error:
            self.channel.broken = Gone(f"the program's answer is not plain data: {error}")
            raise self.channel.broken from None


def _handle_of(value: object) -> Plain:
    """How a value travels that is not plain: a handle goes back where it came from.

    Plainthing else is the tests' fault, as it would be with any program; except what tests only
    have from the program: an exception that it raised, and a method of its plain data.
    """
    if isinstance(value, RemoteObject):
        return {"o": [object.__getattribute__(value, "_handle"), ""]}
    ours = not isinstance(value, BaseException)
    if isinstance(value, BuiltinFunctionType):
        ours = isinstance(value.__self__, ModuleType | type)
    what = f"a test passes a {type(value).__name__} to the program"
    raise Unsendable(what) if ours else TypeError(what)


def _copy_back(args: list[Plain], after: Plain) -> None:
    """Make the judge's own arguments what the call left of them; only containers can differ."""
    if not isinstance(after, list) or len(after) != len(args):
        return
    for mine, theirs in zip(args, after, strict=True):
        if isinstance(mine, list | bytearray) and isinstance(theirs, type(mine)):
            mine[:] = theirs
        elif isinstance(mine, dict | set) and isinstance(theirs, type(mine)):
            mine.clear()
            mine.update(theirs)


class RemoteObject:
    """An object inside the program: a function, a class, an instance, a generator's maker."""

    def __init__(self, program: RemoteProgram, handle: int, kind: str) -> None:
        for name, value in (("_program", program), ("_handle", handle), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def __call__(self, *args: Plain, **options: Plain) -> Plain:
        return self._program.call(self._handle, list(args), options)

    def __getattr__(self, name: str) -> Plain:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._program.ask(op="get", handle=self._handle, name=name)

    def __setattr__(self, name: str, value: Plain) -> None:
        sent = self._program.send(value)
        self._program.ask(op="set", handle=self._handle, name=name, value=sent)

    def __getitem__(self, key: Plain) -> Plain:
        return self._program.ask(op="item", handle=self._handle, key=self._program.send(key))

    def __len__(self) -> int:
        return int(self._program.ask(op="length", handle=self._handle))

    def __iter__(self) -> Iterator[Plain]:
        return iter(list(self._program.ask(op="items", handle=self._handle)))

    def __str__(self) -> str:
        return str(self._program.ask(op="text", handle=self._handle))

    def _refuse(self, *_: Plain) -> NoReturn:
        raise TypeError(f"the answer is a {self._kind}, not plain data that can be compared")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __bool__ = __hash__ = __contains__ = _refuse


class ProgramModule:
    """The program as the module that a test file imports."""

    def __init__(self, program: RemoteProgram) -> None:
        self.__program = program

    def __getattr__(self, name: str) -> Plain:
        return self.__program.name(name)
