"""Assert style: runs the trusted test code here, with the program's functions as proxies."""

import ast
import builtins
import importlib
from typing import Any

from rewards.sandbox.inside import asserts
from rewards.sandbox.inside.proxy import Channel, Program
from rewards.sandbox.inside.test_cases import BadTests, Suite
from rewards.sandbox.inside.test_counter import TestCounter

TEST_NAME = "tests.py"


def run(suite: Suite, channel: Channel, tally: TestCounter, job: dict[str, Any]) -> None:
    """Load the program, then run set-up and tests in one namespace, one test at a time.

    Of the job nothing is needed: an assertion says itself how near is near enough.
    """
    del job
    # A prompt may end in the head of a function, where the response goes on.
    prompts = (suite.helpers, f"{suite.helpers}\n    pass\n")
    helpers = _parsed(next(filter(_is_python, prompts), suite.helpers), "the prompt")
    setup = _parsed(suite.setup, "the set-up code")
    tests = [_parsed(source, f"test {i + 1}") for i, source in enumerate(suite.tests)]
    known = {name for node in helpers.body for name in _defines(node)} - {suite.entry}
    taken, modules = asserts.names_of_the_program([setup, *tests], known=known)
    for tree_index, tree in enumerate(tests):
        tests[tree_index], count = asserts.recorded(tree)
        tally.total += count
    namespace = _namespace(tally, modules)
    _trusted(helpers, namespace)
    program = Program(channel, echo=True)
    program.load(suite.sources, usual_imports=False)
    for name in sorted(taken | ({suite.entry} if suite.entry else set())):
        namespace[name] = program.name(name)
    try:
        exec(compile(setup, TEST_NAME, "exec"), namespace)
    except ImportError as error:
        _blame_tests(error)
        raise
    for tree in tests:
        _run_test(tree, namespace, tally)


def _run_test(tree: ast.Module, namespace: dict[str, Any], tally: TestCounter) -> None:
    """Run one test; an exception outside its assertions fails it, not the others."""
    try:
        exec(compile(tree, TEST_NAME, "exec"), namespace)
    except Exception as error:
        _blame_tests(error)
        tally.record("the test code", False, f"{type(error).__name__}: {str(error)[:200]}")


def _blame_tests(error: Exception) -> None:
    """An import that failed here, not in the program, whose errors come without a module's name."""
    if isinstance(error, ImportError) and error.name:
        raise BadTests(f"the tests import {error.name}, which is not there") from None


def _namespace(tally: TestCounter, modules: set[str]) -> dict[str, Any]:
    def failed(what: str, error: Exception) -> None:
        tally.record(what, False, f"{type(error).__name__}: {str(error)[:200]}")

    namespace: dict[str, Any] = {
        "__name__": "tests",
        "__builtins__": builtins,
        asserts.RECORD: lambda what, condition: tally.record(what, bool(condition)),
        asserts.FAILED: failed,
        asserts.ERRORS: Exception,
    }
    for name in modules:
        namespace[name] = importlib.import_module(name)
    return namespace


def _trusted(tree: ast.Module, namespace: dict[str, Any]) -> None:
    """Run code of the data set that has nothing to do with the program."""
    try:
        exec(compile(tree, TEST_NAME, "exec"), namespace)
    except Exception as error:
        raise BadTests(f"the prompt's code: {type(error).__name__}: {error}") from None


def _parsed(source: str, what: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BadTests(f"{what} is not Python: {error}") from None


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _defines(node: ast.stmt) -> set[str]:
    """Names that a statement of trusted code makes; only functions, classes and imports matter."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return set()
