"""Rows whose tests are a file for pytest or unittest."""

import ast
import asyncio
from typing import Any

import pytest

from rewards.sandbox.grading.row_tests import BadTests
from rewards.sandbox.grading.test_file import refuse_what_is_not_supported
from rewards.types import Message, Problem, Verdict
from rewards.verifiers.code_tests import code_tests

FUNCTIONS = """
from solution import half, Counter

def test_even():
    assert half(4) == 2

def test_counter():
    counter = Counter()
    counter.add(3)
    assert counter.total == 3
"""
RAISES = """
import pytest
import solution

def test_error():
    with pytest.raises(ValueError, match="odd"):
        solution.half(3)
"""
PARAMETERS = """
import pytest
from solution import half

@pytest.mark.parametrize("given, expected", [(2, 1), pytest.param(8, 4, id="eight")])
@pytest.mark.slow
def test_half(given, expected):
    assert half(given) == pytest.approx(expected)
"""
FIXTURES = """
import pytest
from solution import Counter

@pytest.fixture
def counter():
    yield Counter()

class TestCounter:
    def setup_method(self):
        self.step = 2

    def test_add(self, counter):
        counter.add(self.step)
        counter.add(self.step)
        assert counter.total == 4
"""
UNITTEST = """
import unittest

class TestHalf(unittest.TestCase):
    def setUp(self):
        self.given = 4

    def test_even(self):
        self.assertEqual(half(self.given), 2)

    def test_error(self):
        with self.assertRaises(ValueError):
            half(3)
        self.assertRaises(ValueError, half, 5)

    def test_many(self):
        for n in (2, 4):
            with self.subTest(n=n):
                self.assertAlmostEqual(half(n), n / 2)

if __name__ == "__main__":
    unittest.main()
"""
GOOD = """
def half(n):
    if n % 2:
        raise ValueError("odd number")
    return n // 2

class Counter:
    def __init__(self):
        self.total = 0
    def add(self, n):
        self.total += n
"""
FILES = {
    "functions": FUNCTIONS, "raises": RAISES, "parameters": PARAMETERS, "fixtures": FIXTURES,
    "unittest": UNITTEST,
}  # fmt: skip


def judged(test: str, program: str, **options: Any) -> Verdict:
    message = Message(role="user", content="Write it.")
    problem = Problem(id="p", messages=(message,), answer="", columns={"test": test})
    return asyncio.run(code_tests(problem, program, **options))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_right_program_passes_and_a_wrong_one_fails(name: str) -> None:
    verdict = judged(FILES[name], GOOD)
    assert verdict.correct, verdict.reason
    wrong = GOOD.replace("n // 2", "n // 2 + 1").replace("odd", "even").replace("+= n", "= n + 1")
    verdict = judged(FILES[name], wrong.replace("raise ValueError", "0 and ValueError"))
    assert not verdict.is_missing, verdict.reason
    assert not verdict.correct, verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "share"),
    [
        (GOOD, 1.0),
        # the two that expect an error fail; the one in a loop counts twice
        (GOOD.replace("raise ValueError", "print"), 3 / 5),
        ("def half(n):\n    raise ValueError", 2 / 5),  # one fails once for each `n`
        ("", 0.0),
    ],
)
def test_the_share_counts_assertions(program: str, share: float) -> None:
    verdict = judged(UNITTEST, program, reward="share")
    assert verdict.reward == pytest.approx(share), verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    ["raise SystemExit", "import os\nos._exit(0)", "half = None", "def half(n):\n    return 1 / 0"],
)
@pytest.mark.parametrize("test", [FUNCTIONS, UNITTEST])
def test_a_program_that_breaks_the_file_scores_zero(test: str, program: str) -> None:
    verdict = judged(test, program)
    assert not verdict.is_missing, verdict.reason
    assert verdict.reward == 0.0


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("def test_a(tmp_path):\n    assert f(tmp_path)", "needs the fixture tmp_path"),
        ("import pytest\ndef test_a():\n    pytest.skip('x')", "pytest.skip"),
        ("async def test_a():\n    assert await f()", "asynchronous"),
    ],
)
def test_what_is_not_supported_is_refused_whatever_the_program(test: str, says: str) -> None:
    with pytest.raises(BadTests, match=says):
        refuse_what_is_not_supported(ast.parse(test))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("from elsewhere import f\ndef test_a():\n    assert f()", "from elsewhere import f"),
        ("def test_a():\n    f()", "assert nothing"),
        ("from pytest import mock\ndef test_a():\n    assert f()", "from pytest import mock"),
    ],
)
def test_a_file_that_cannot_be_run_is_missing(test: str, says: str) -> None:
    verdict = judged(test, "def f():\n    return 1")
    assert verdict.is_missing
    assert says in verdict.reason
