"""Plain data as JSON, with Python's own types kept apart: what crosses between program and judge.

Numbers, text, bytes, None and the built-in containers travel by value, subclasses as their base,
single numbers of numpy as Python's.
Anything else stays where it is and travels as a numbered handle. A type that lies about its
equality, length or contents therefore never reaches the judge: only plain values do.

    [1, 2]          a list            {"t": [1, 2]}    a tuple       {"d": [[k, v], ...]}  a dict
    {"i": "ff"}     a large int       {"g": [1, 2]}    an iterator   {"o": [7, "Node"]}    a handle
    {"s": [1, 2]}   a set             {"b": "ff00"}    bytes         {"p": "int"}          a type
"""

import builtins
import collections.abc
import itertools
from collections.abc import Callable, Iterable
from typing import Any

MAX_DEPTH = 150
MAX_ITEMS = 2_000_000  # values in one message

_SMALL = 1 << 63
_VIEWS: dict[str, type[Any]] = {"k": type({}.keys()), "v": type({}.values()), "e": type({}.items())}


_BUILT_IN_TYPES = {kind: name for name, kind in vars(builtins).items() if isinstance(kind, type)}


class NotPlain(Exception):
    """The value has a part that cannot be sent."""


def _built_in_type(name: str) -> type:
    found = vars(builtins)[name]
    if not isinstance(found, type):
        raise ValueError(f"{name} is no type")
    return found


class Encoder:
    """Turns one value into JSON; `handle` says how a value that is not plain is sent."""

    def __init__(self, handle: Callable[[Any], Any]) -> None:
        self._handle = handle
        self._left = MAX_ITEMS

    def encode(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise NotPlain("the value is nested too deeply or too large")
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int):
            number = int.__int__(value)
            return number if -_SMALL < number < _SMALL else {"i": format(number, "x")}
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, list):
            return self._all(list.__iter__(value), depth)
        return self._tagged(value, depth)

    def _all(self, items: Iterable[Any], depth: int) -> list[Any]:
        return [self.encode(item, depth + 1) for item in items]

    def _tagged(self, value: Any, depth: int) -> Any:
        if isinstance(value, tuple):
            return {"t": self._all(tuple.__iter__(value), depth)}
        if isinstance(value, dict):
            pairs = list(dict.items(value))
            return {"d": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in pairs]}
        if isinstance(value, set):
            return {"s": self._all(set.__iter__(value), depth)}
        if isinstance(value, frozenset):
            return {"f": self._all(frozenset.__iter__(value), depth)}
        if isinstance(value, bytes):
            return {"b": bytes.hex(value)}
        if isinstance(value, bytearray):
            return {"y": bytearray.hex(value)}
        if isinstance(value, complex):
            return {"c": [value.real, value.imag]}
        if isinstance(value, range):
            return {"r": [self.encode(n) for n in (value.start, value.stop, value.step)]}
        for tag, view in _VIEWS.items():
            if isinstance(value, view):
                return {tag: self._all(value, depth)}
        if isinstance(value, type) and value in _BUILT_IN_TYPES:
            return {"p": _BUILT_IN_TYPES[value]}
        if type(value).__module__ == "numpy" and value.shape == ():
            return self.encode(value.item(), depth + 1)
        if isinstance(value, collections.abc.Iterator):
            return {"g": self._all(itertools.islice(value, MAX_ITEMS), depth)}
        return self._handle(value)


class Decoder:
    """Turns JSON back into values; `handle` receives the number and type name of a handle."""

    def __init__(self, handle: Callable[[int, str], Any]) -> None:
        self._handle = handle
        self._readers: dict[str, Callable[[Any], Any]] = {
            "i": lambda text: int(text, 16),
            "t": lambda items: tuple(self._all(items)),
            "s": lambda items: set(self._all(items)),
            "f": lambda items: frozenset(self._all(items)),
            "d": lambda pairs: {self.decode(key): self.decode(item) for key, item in pairs},
            "b": bytes.fromhex,
            "y": bytearray.fromhex,
            "c": lambda parts: complex(float(parts[0]), float(parts[1])),
            "r": lambda parts: range(*self._all(parts)),
            "k": lambda items: dict.fromkeys(self._all(items)).keys(),
            "v": lambda items: dict(enumerate(self._all(items))).values(),
            "e": lambda items: dict(self._all(items)).items(),
            "g": lambda items: iter(list(self._all(items))),
            "p": _built_in_type,
            "o": lambda parts: self._handle(int(parts[0]), str(parts[1])),
        }

    def decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return list(self._all(value))
        if isinstance(value, dict):
            ((tag, payload),) = value.items()
            return self._readers[tag](payload)
        return value

    def _all(self, items: list[Any]) -> Iterable[Any]:
        return (self.decode(item) for item in items)
