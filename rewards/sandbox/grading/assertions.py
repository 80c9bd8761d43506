"""Assert and file style: runs the trusted test code here, with the program's functions as proxies.

What the tests need is looked up before the program is loaded, so that nothing the program does can
make its tests unusable.
"""

import ast
import builtins
import importlib
import sys
from types import CodeType

from rewards.sandbox.grading import instrument
from rewards.sandbox.grading.counter import AssertionCounter
from rewards.sandbox.grading.proxy import TEST_NAME, Channel, ProgramModule, RemoteProgram
from rewards.sandbox.grading.row_tests import BadTests, RowTests
from rewards.sandbox.inside.codec import Plain

PROGRAM_MODULES = ("solution", "main", "program", "submission")  # what a test file may import


def run(tests: RowTests, channel: Channel, counter: AssertionCounter) -> None:
    """Load the program, then run set-up and tests in one namespace, one test at a time."""
    # A prompt may end in the head of a function, where the response goes on.
    helpers = _parsed("the prompt", tests.helpers, f"{tests.helpers}\n    pass\n")
    trees = [_parsed("the set-up code", tests.setup)]
    trees += [_parsed(f"test {number}", source) for number, source in enumerate(tests.tests, 1)]
    taken: dict[str, str] = {}
    whole: set[str] = set()
    if tests.style == "file":  # these cost as much time to import as all the rest
        from rewards.sandbox.grading import pytest_subset, test_file

        sys.modules["pytest"] = pytest_subset
    for place, tree in enumerate(trees):
        tree, names, modules, imports = instrument.without_program_imports(tree, PROGRAM_MODULES)
        for node in imports:
            try:
                exec(_code(ast.Module([node], [])), {})
            except ImportError as error:
                raise BadTests(f"the tests cannot run `{ast.unparse(node)}`: {error}") from None
        if tests.style == "file":
            test_file.refuse_what_is_not_supported(tree)
        trees[place] = tree
        taken |= names
        whole |= modules
    known = {name for node in helpers.body for name in instrument.bound_by(node)} - {tests.entry}
    free, forgotten = instrument.names_of_the_program(trees, known={*known, *taken, *whole})
    for place, tree in enumerate(trees):
        trees[place], count = instrument.recorded(tree)
        counter.total += count if place else 0  # the set-up tests nothing
    taken |= {name: name for name in free | ({tests.entry} if tests.entry else set())}
    namespace: dict[str, Plain] = {
        "__name__": "tests",
        "__builtins__": builtins,
        instrument.RECORD: lambda what, condition: counter.record(what, bool(condition)),
        instrument.FAILED: counter.failed_with,
        instrument.ERRORS: Exception,
        **{name: importlib.import_module(name) for name in forgotten},
    }
    try:
        exec(_code(helpers), namespace)
    except Exception as error:
        raise BadTests(f"the prompt's code: {type(error).__name__}: {error}") from None
    program = RemoteProgram(channel, echo=True)
    program.load(tests.sources, usual_imports=False)
    for name, original in sorted(taken.items()):
        namespace[name] = program.name(original)
    for name in whole:
        namespace[name] = ProgramModule(program)
    setup, *rest = trees
    exec(_code(setup), namespace)
    for tree in rest:
        try:
            exec(_code(tree), namespace)
        except Exception as error:
            counter.failed_with("the test code", error)
    if tests.style == "file":
        test_file.run(namespace, counter)


def _code(tree: ast.Module) -> CodeType:
    return compile(tree, TEST_NAME, "exec")


def _parsed(what: str, *sources: str) -> ast.Module:
    """The first of these that is Python."""
    errors: list[Exception] = []
    for source in sources:
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError) as error:
            errors.append(error)
    raise BadTests(f"{what} is not Python: {errors[0]}")
