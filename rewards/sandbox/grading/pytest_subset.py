"""The part of pytest that rows of data sets use: raises, approx, parametrize and simple fixtures.

Tests import it as `pytest`. The real one would have to be visible in every sandbox, and needs
longer to start than the program and its tests together.
"""

import contextlib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import NoReturn

from rewards.sandbox.inside.codec import Plain

NAMES = {"raises", "approx", "fail", "param", "mark", "fixture"}  # all that tests may use

_PARAMETERS, _FIXTURE = "_parameters", "_fixture"
_Test = Callable[..., object]


class ExceptionInfo:
    """What `raises` caught."""

    value: BaseException
    type: type[BaseException]


class RaisesContext:
    """Fails unless the block raises the expected exception."""

    def __init__(self, expected: Plain, match: str | None) -> None:
        self._expected, self._match = expected, match
        self._info = ExceptionInfo()

    def __enter__(self) -> ExceptionInfo:
        return self._info

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if kind is None or error is None:
            raise AssertionError(f"did not raise {self._expected}")
        if not issubclass(kind, self._expected):
            return False
        self._info.type, self._info.value = kind, error
        if self._match is not None and not re.search(self._match, str(error)):
            raise AssertionError(f"{str(error)!r:.100} does not match {self._match!r}")
        return True


def raises(
    expected: Plain, *call: Plain, match: str | None = None, **options: Plain
) -> RaisesContext:
    """`with raises(ValueError):`, or `raises(ValueError, function, argument)`."""
    context = RaisesContext(expected, match)
    if call:
        with context:
            call[0](*call[1:], **options)
    return context


class ApproximateValue:
    """Equal to numbers nearby; in lists, tuples and dicts item by item."""

    def __init__(self, expected: Plain, rel: float, absolute: float) -> None:
        self._expected, self._rel, self._absolute = expected, rel, absolute

    def __eq__(self, got: object) -> bool:
        return self._near(got, self._expected)

    __hash__ = None  # type: ignore[assignment]

    def _near(self, got: Plain, expected: Plain) -> bool:
        if isinstance(expected, Mapping):
            same = isinstance(got, Mapping) and got.keys() == expected.keys()
            return same and all(self._near(got[key], expected[key]) for key in expected)
        if isinstance(expected, Sequence) and not isinstance(expected, str | bytes):
            same = isinstance(got, Sequence) and len(got) == len(expected)
            return same and all(map(self._near, got, expected))
        if isinstance(expected, bool | str | bytes | None):
            return bool(got == expected)
        return bool(
            got == expected
            or math.isclose(got, expected, rel_tol=self._rel, abs_tol=self._absolute)
        )


def approx(
    expected: Plain,
    rel: float | None = None,
    abs: float | None = None,  # noqa: A002 (pytest's name)
    nan_ok: bool = False,
) -> ApproximateValue:
    """Within a millionth, or as near as said."""
    del nan_ok
    if rel is None:
        rel = 1e-6 if abs is None else 0.0
    return ApproximateValue(expected, rel, 1e-12 if abs is None else abs)


def fail(reason: str = "") -> NoReturn:
    raise AssertionError(reason)


class ParameterSet(tuple[Plain, ...]):
    """Made by `param`: values that belong together, even where there is only one."""


def param(*values: Plain, **about: Plain) -> ParameterSet:
    """One set of parameters; its id and marks change nothing here."""
    del about
    return ParameterSet(values)


class _Marks:
    """`pytest.mark`: parametrize counts, any other mark changes nothing."""

    @staticmethod
    def parametrize(
        names: str | Sequence[str], sets: Iterable[Plain], **about: Plain
    ) -> Callable[[_Test], _Test]:
        del about
        keys = split_names(names)
        several = len(keys) > 1
        rows = [
            dict(
                zip(keys, row if several or isinstance(row, ParameterSet) else (row,), strict=True)
            )
            for row in sets
        ]

        def mark_test(test: _Test) -> _Test:
            vars(test).setdefault(_PARAMETERS, []).append(rows)
            return test

        return mark_test

    def __getattr__(self, name: str) -> Callable[..., Plain]:
        def mark_test(*values: Plain, **about: Plain) -> Plain:
            return values[0] if values and inspect.isfunction(values[0]) else lambda test: test

        return mark_test


mark = _Marks()


def split_names(names: str | Sequence[str]) -> list[str]:
    """ "a, b" or ["a", "b"]."""
    parts = names.split(",") if isinstance(names, str) else names
    return [part.strip() for part in parts]


def parameters_of(test: _Test) -> list[list[dict[str, Plain]]]:
    """The sets of parameters of each `parametrize`."""
    function = inspect.unwrap(test)
    marked = vars(function.__func__ if inspect.ismethod(function) else function)
    found: list[list[dict[str, Plain]]] = marked.get(_PARAMETERS, [])
    return found


def fixture(function: _Test | None = None, **about: Plain) -> Plain:
    """A function whose value tests name as a parameter."""
    del about
    if function is None:
        return fixture
    vars(function)[_FIXTURE] = True
    return function


class Fixtures:
    """The fixtures of a file, made anew for each test."""

    def __init__(self, namespace: Mapping[str, Plain]) -> None:
        self._functions = {
            name: value
            for name, value in namespace.items()
            if inspect.isfunction(value) and _FIXTURE in vars(value)
        }
        self._stack = contextlib.ExitStack()
        self._made: dict[str, Plain] = {}

    def has(self, name: str) -> bool:
        return name in self._functions

    def value(self, name: str) -> Plain:
        if name not in self._made:
            function = self._functions[name]
            needed = {key: self.value(key) for key in inspect.signature(function).parameters}
            if inspect.isgeneratorfunction(function):
                context = contextlib.contextmanager(function)(**needed)
                self._made[name] = self._stack.enter_context(context)
            else:
                self._made[name] = function(**needed)
        return self._made[name]

    def close(self) -> None:
        self._stack.close()
