"""Which names of a test are the program's, and what becomes of its assertions."""

import ast
from typing import Any

import pytest

from rewards.sandbox.grading.instrument import (
    ERRORS,
    FAILED,
    RECORD,
    names_of_the_program,
    recorded,
)


@pytest.mark.parametrize(
    ("test", "names", "modules"),
    [
        ("assert f(2) == 4", {"f"}, set()),
        ("assert set(f(2)) == set([4])", {"f"}, set()),
        ("assert math.isclose(f(2), 4)", {"f"}, {"math"}),
        ("import math\nassert math.isclose(f(2), 4)", {"f"}, set()),
        ("assert f([Pair(1, 2)], 3) == 4", {"f", "Pair"}, set()),
        ("assert sum(10, 15) == 25", {"sum"}, set()),
        ("assert [f(x) for x in range(3)] == [0, 1, 4]", {"f"}, set()),
        ("def check(candidate):\n    assert candidate(1) == 2\ncheck(f)", {"f"}, set()),
        ("assert len(f('a')) == sys.getsizeof(1)", {"f"}, {"sys"}),
        ("assert string(2) == 4", {"string"}, set()),  # called, so no module is meant
        ("x = f(1)\nassert x == 1", {"f"}, set()),
    ],
)
def test_names(test: str, names: set[str], modules: set[str]) -> None:
    assert names_of_the_program([ast.parse(test)], known=set()) == (names, modules)


def test_names_that_trusted_code_defines_are_not_the_programs() -> None:
    tree = ast.parse("assert abs(helper(f(1))) < 1")
    assert names_of_the_program([tree], known={"helper"}) == ({"f"}, set())


def outcomes(source: str) -> tuple[int, list[tuple[str, bool]]]:
    """Run recorded test code; returns how many assertions it has, and what was recorded."""
    tree, count = recorded(ast.parse(source))
    seen: list[tuple[str, bool]] = []
    namespace: dict[str, Any] = {
        RECORD: lambda what, value: seen.append((what, bool(value))),
        FAILED: lambda what, error: seen.append((what, False)),
        ERRORS: Exception,
    }
    exec(compile(tree, "tests.py", "exec"), namespace)
    return count, seen


def test_assertions_are_recorded_one_by_one() -> None:
    source = "assert 1 == 1\nassert 1 == 2, 'a message'\nassert True, 'proves nothing'"
    assert outcomes(source) == (2, [("1 == 1", True), ("1 == 2", False)])


def test_assertions_in_a_loop_are_recorded_each_time() -> None:
    count, seen = outcomes("for n in range(3):\n    assert n < 2")
    assert (count, [passed for _, passed in seen]) == (1, [True, True, False])


def test_an_error_in_an_assertion_is_a_failure_even_where_the_test_would_swallow_it() -> None:
    source = "try:\n    assert 1 / 0 == 1\nexcept Exception:\n    pass"
    assert outcomes(source) == (1, [("1 / 0 == 1", False)])


def test_a_place_that_must_not_be_reached_is_recorded_only_when_it_is() -> None:
    source = "try:\n    int('x')\n    assert False\nexcept ValueError:\n    assert 1"
    assert outcomes(source) == (1, [])
