"""Runs a file of tests: functions and classes as pytest finds them, and classes of unittest.

The assertions inside are recorded one by one (instrument.py); what is counted here is only a test
that raises outside of one. Fixtures of pytest's own and its plug-ins are not supported.
"""

import ast
import inspect
import itertools
from collections.abc import Callable, Iterator
from types import TracebackType

from rewards.sandbox.grading import pytest_subset
from rewards.sandbox.grading.counter import AssertionCounter
from rewards.sandbox.grading.row_tests import BadTests
from rewards.sandbox.inside.codec import Plain

_Error = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


def refuse_what_is_not_supported(tree: ast.Module) -> None:
    """Raise BadTests for what `run` cannot do; also take out calls that would run the file."""
    fixtures: set[str] = set()
    for node in ast.walk(tree):
        used = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if used.startswith("pytest.") and used.split(".")[1] not in pytest_subset.NAMES:
            raise BadTests(f"the tests use {used}, which is not supported")
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test"):
            raise BadTests(f"{node.name} is asynchronous, which is not supported")
        if isinstance(node, ast.FunctionDef) and any(
            ast.unparse(part).startswith(("pytest.fixture", "fixture"))
            for part in node.decorator_list
        ):
            fixtures.add(node.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            given = set(_parameters(node)) | fixtures | {"self"}
            if missing := [arg.arg for arg in node.args.args if arg.arg not in given]:
                raise BadTests(
                    f"{node.name} needs the fixture {missing[0]}, which is not supported"
                )
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Expr) and ast.unparse(node).startswith(_MAIN))
    ]


_MAIN = ("unittest.main(", "pytest.main(")


def _parameters(function: ast.FunctionDef) -> Iterator[str]:
    """Names that decorators fill: `parametrize` by name, `patch` in the order of the arguments."""
    patched = 0
    for part in function.decorator_list:
        if not isinstance(part, ast.Call):
            continue
        if ast.unparse(part.func).endswith("parametrize") and part.args:
            names = ast.literal_eval(part.args[0])
            yield from pytest_subset.split_names(names)
        elif "patch" in ast.unparse(part.func):
            patched += 1
    yield from [arg.arg for arg in function.args.args if arg.arg != "self"][:patched]


def run(namespace: dict[str, Plain], counter: AssertionCounter) -> None:
    """Every test of the file, in the order in which they are defined."""
    for name, value in list(namespace.items()):
        kind = inspect.isclass(value)
        if not (kind or inspect.isfunction(value)) or value.__module__ != "tests":
            continue
        if kind and any(base.__module__.startswith("unittest.") for base in value.__mro__):
            run_unittest(value, counter)
        elif kind and name.startswith("Test"):
            run_class(value, namespace, counter)
        elif not kind and name.startswith("test"):
            _run_function(name, value, namespace, counter)


def _run_function(
    name: str,
    function: Callable[..., object],
    namespace: dict[str, Plain],
    counter: AssertionCounter,
    prepare: Callable[[], None] = lambda: None,
) -> None:
    """Once for each set of parameters."""
    sets = pytest_subset.parameters_of(function)
    for chosen in itertools.product(*sets):
        parameters = {key: value for part in chosen for key, value in part.items()}
        fixtures = pytest_subset.Fixtures(namespace)
        try:
            prepare()
            names = inspect.signature(function).parameters
            extra = {key: fixtures.value(key) for key in names if fixtures.has(key)}
            function(**{**extra, **parameters})
        except Exception as error:
            counter.failed_with(name, error)
        finally:
            fixtures.close()


def run_class(kind: Plain, namespace: dict[str, Plain], counter: AssertionCounter) -> None:
    for name in [key for key in vars(kind) if key.startswith("test")]:
        test = kind()
        before = vars(kind).get("setup_method")
        bound = vars(kind)[name].__get__(test)

        def prepare(before: Plain = before, test: object = test) -> None:
            if before is not None:
                before(*(test, None)[: len(inspect.signature(before).parameters)])

        _run_function(name, bound, namespace, counter, prepare)


def run_unittest(kind: type, counter: AssertionCounter) -> None:
    import unittest  # costs as much time as a whole program, so only where the tests use it

    class Recorder(unittest.TestResult):
        """Hands failures on; what ends the whole trial goes through."""

        def addError(self, test: unittest.TestCase, err: _Error) -> None:
            if not isinstance(err[1], Exception):
                raise err[1] or RuntimeError("a failure without an exception")
            counter.failed_with(str(test), err[1])

        def addFailure(self, test: unittest.TestCase, err: _Error) -> None:
            self.addError(test, err)

        def addSubTest(
            self, test: unittest.TestCase, subtest: unittest.TestCase, err: _Error | None
        ) -> None:
            if err is not None:
                self.addError(test, err)

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(kind)
    suite.run(Recorder())
