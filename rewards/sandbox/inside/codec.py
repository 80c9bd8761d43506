"""Plain data as JSON, with Python's own types kept apart: what crosses between program and grader.

Numbers, text, bytes, None and the standard containers travel by value, subclasses as their base;
so do decimals, fractions, dates, deques and arrays. Anything else stays where it is and travels as
a numbered handle. A type that lies about its equality, length or contents therefore never reaches
the grader: only plain values do.

    [1, 2]          a list            {"t": [1, 2]}    a tuple       {"d": [[k, v], ...]}  a dict
    {"i": "ff"}     a large int       {"g": [1, 2]}    an iterator   {"o": [7, "Node"]}    a handle
    {"s": [1, 2]}   a set             {"b": "ff00"}    bytes         {"p": "int"}          a type
    {"Decimal": "1.50"}, {"date": [2024, 2, 29]}, {"array": ["i", [1, 2]]}, ...
"""

import builtins
import collections
import collections.abc
import importlib
import itertools
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeGuard

Plain: TypeAlias = Any  # a value from outside, or what JSON can hold

MAX_DEPTH = 150
MAX_ITEMS = 2_000_000  # values in one message

_SMALL = 1 << 63
_VIEWS: dict[str, type] = {"k": type({}.keys()), "v": type({}.values()), "e": type({}.items())}

ALL_TYPES = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)}
# Types whose instances all travel by value; nothing else can be made by calling one of them.
DATA_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(bool, int, float, complex, str, bytes, bytearray),
        *(list, tuple, dict, set, frozenset, range),
    )
}
_NUMPY_KINDS = "biufcSUMm"  # kinds of numpy data that hold no Python objects


class NotPlain(Exception):
    """The value has a part that cannot be sent."""


class Encoder:
    """Turns one value into JSON.

    handle: how a value that is not plain is sent. types: the built-in types that are sent by name.
    """

    def __init__(self, handle: Callable[[object], Plain], *, types: dict[str, type]) -> None:
        self._handle = handle
        self._names = {kind: name for name, kind in types.items()}
        self._left = MAX_ITEMS

    def encode(self, value: object, depth: int = 0) -> Plain:
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
        for tagged in (self._container, _scalar, self._array):
            if (found := tagged(value, depth)) is not None:
                return found
        if isinstance(value, type) and value in self._names:
            return {"p": self._names[value]}
        if isinstance(value, collections.abc.Iterator):
            return {"g": self._all(itertools.islice(value, MAX_ITEMS), depth)}
        return self._handle(value)

    def _all(self, items: Iterable[object], depth: int) -> list[Plain]:
        return [self.encode(item, depth + 1) for item in items]

    def _container(self, value: object, depth: int) -> Plain:
        if isinstance(value, tuple):
            return {"t": self._all(tuple.__iter__(value), depth)}
        if isinstance(value, dict):
            pairs = list(dict.items(value))
            return {"d": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in pairs]}
        if isinstance(value, set):
            return {"s": self._all(set.__iter__(value), depth)}
        if isinstance(value, frozenset):
            return {"f": self._all(frozenset.__iter__(value), depth)}
        if isinstance(value, collections.deque):
            items = self._all(collections.deque.__iter__(value), depth)
            return {"deque": [items, value.maxlen if type(value) is collections.deque else None]}
        for tag, view in _VIEWS.items():
            if isinstance(value, view) and isinstance(value, collections.abc.Iterable):
                return {tag: self._all(list(value), depth)}
        return None

    def _array(self, value: object, depth: int) -> Plain:
        """Arrays of the standard library, and arrays and single numbers of numpy."""
        if is_a(value, "array", "array"):
            return {"array": [value.typecode, self._all(value.tolist(), depth)]}
        if not (is_a(value, "numpy", "generic") or is_a(value, "numpy", "ndarray")):
            return None
        if value.shape == () and value.dtype.kind in "biufcSU":
            return self.encode(value.item(), depth + 1)
        if value.dtype.kind not in _NUMPY_KINDS:
            return None
        plain = sys.modules["numpy"].ascontiguousarray(value)
        return {"numpy": [plain.dtype.str, list(value.shape), plain.tobytes().hex()]}


def is_a(value: object, module: str, name: str) -> TypeGuard[Plain]:
    """An instance of a class of a module; nothing is, while nobody has imported the module."""
    return module in sys.modules and isinstance(value, vars(sys.modules[module])[name])


def _scalar(value: Plain, depth: int) -> Plain:
    """Single values without parts of their own."""
    del depth
    if isinstance(value, bytes):
        return {"b": bytes.hex(value)}
    if isinstance(value, bytearray):
        return {"y": bytearray.hex(value)}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    if isinstance(value, range):
        return {"r": [format(n, "x") for n in (value.start, value.stop, value.step)]}
    if is_a(value, "decimal", "Decimal"):
        return {"Decimal": sys.modules["decimal"].Decimal.__str__(value)}
    if is_a(value, "fractions", "Fraction"):
        return {"Fraction": [format(int(n), "x") for n in (value.numerator, value.denominator)]}
    if is_a(value, "datetime", "timedelta"):
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    if is_a(value, "datetime", "datetime"):
        return _moment("datetime", value.timetuple()[:6], value)
    if is_a(value, "datetime", "date"):
        return {"date": [value.year, value.month, value.day]}
    if is_a(value, "datetime", "time"):
        return _moment("time", (value.hour, value.minute, value.second), value)
    return None


def _moment(tag: str, fields: Iterable[int], value: Plain) -> Plain:
    """With the distance from UTC in seconds, or None where there is no time zone."""
    zone = value.utcoffset()
    seconds = None if zone is None else zone.total_seconds()
    return {tag: [[*fields, value.microsecond], value.fold, seconds]}


class Decoder:
    """Turns JSON back into values; anything malformed raises an exception that is no NotPlain.

    handle: receives the number and type name of a handle. types: those that are known by name.
    """

    def __init__(
        self, handle: Callable[[int, str], object], *, types: dict[str, type] | None = None
    ) -> None:
        self._handle = handle
        self._types = ALL_TYPES if types is None else types
        self._readers: dict[str, Callable[[Plain], object]] = {
            "i": lambda text: int(text, 16),
            "t": lambda items: tuple(self._all(items)),
            "s": lambda items: set(self._all(items)),
            "f": lambda items: frozenset(self._all(items)),
            "d": lambda pairs: {self.decode(key): self.decode(item) for key, item in pairs},
            "b": bytes.fromhex,
            "y": bytearray.fromhex,
            "c": lambda parts: complex(float(parts[0]), float(parts[1])),
            "r": lambda parts: range(*(int(part, 16) for part in parts)),
            "k": lambda items: dict.fromkeys(self._all(items)).keys(),
            "v": lambda items: dict(enumerate(self._all(items))).values(),
            "e": lambda items: dict(self._all(items)).items(),
            "g": lambda items: iter(list(self._all(items))),
            "p": lambda name: self._types[name],
            "o": lambda parts: self._handle(int(parts[0]), str(parts[1])),
            "deque": lambda parts: collections.deque(self._all(parts[0]), parts[1]),
            "array": lambda parts: _made("array", "array", str(parts[0]), self.decode(parts[1])),
            "numpy": _numpy_array,
            "Decimal": lambda text: _made("decimal", "Decimal", str(text)),
            "Fraction": lambda parts: _made("fractions", "Fraction", *(int(p, 16) for p in parts)),
            "timedelta": lambda parts: _made("datetime", "timedelta", *parts),
            "date": lambda parts: _made("datetime", "date", *parts),
            "datetime": lambda parts: _at("datetime", *parts),
            "time": lambda parts: _at("time", *parts),
        }

    def decode(self, value: Plain) -> Plain:
        if isinstance(value, list):
            return list(self._all(value))
        if isinstance(value, dict):
            ((tag, payload),) = value.items()
            return self._readers[tag](payload)
        return value

    def _all(self, items: list[Plain]) -> Iterable[Plain]:
        return (self.decode(item) for item in items)


def _made(module: str, name: str, *parts: Plain) -> Plain:
    """An instance of a class whose module is imported when it is needed, not before."""
    return vars(importlib.import_module(module))[name](*parts)


def _at(name: str, fields: list[int], fold: int, seconds: float | None) -> Plain:
    moment = _made("datetime", name, *fields).replace(fold=fold)
    if seconds is None:
        return moment
    zone = _made("datetime", "timezone", _made("datetime", "timedelta", 0, seconds))
    return moment.replace(tzinfo=zone)


def _numpy_array(parts: Plain) -> object:
    """An array with its own memory, read from bytes that cannot hold a Python object."""
    numpy = importlib.import_module("numpy")
    kind = numpy.dtype(str(parts[0]))
    shape = tuple(int(size) for size in parts[1])
    data = bytes.fromhex(parts[2])
    if kind.kind not in _NUMPY_KINDS or math.prod(shape) * kind.itemsize != len(data):
        raise ValueError("the array does not fit its bytes")
    return numpy.frombuffer(data, kind).reshape(shape).copy()
