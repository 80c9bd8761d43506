"""Rows of the usual data sets, as the judge reads them."""

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from rewards.sandbox.grading.row_tests import BadTests, GradingCase, read

HEAD = 'def f(x):\n    """Doc."""\n'
TEST = "def check(candidate):\n    assert candidate(1) == 2\n"


def test_an_mbpp_row() -> None:
    row = {
        "test_list": ["assert f(1) == 2"],
        "test_setup_code": "a = 1",
        "test_imports": ["import re"],
    }
    suite = read(row, "program")
    assert (suite.style, suite.sources, suite.entry) == ("assert", ["program"], "")
    assert suite.setup == "import re\na = 1"
    assert suite.tests == ["assert f(1) == 2"]


@pytest.mark.parametrize(
    ("program", "sources"),
    [
        ("    return x + 1\n", [HEAD + "    return x + 1\n"]),
        ("def f(x):\n    return x + 1", [HEAD, "def f(x):\n    return x + 1"]),
        ("f = lambda x: x + 1", [HEAD, "f = lambda x: x + 1"]),
        ("def ff(x):\n    return x", [HEAD + "def ff(x):\n    return x"]),
    ],
)
def test_a_humaneval_response_goes_on_from_the_prompt_or_is_whole(
    program: str, sources: list[str]
) -> None:
    suite = read({"prompt": HEAD, "test": TEST, "entry_point": "f"}, program)
    assert suite.sources == sources
    assert (suite.entry, suite.helpers, suite.tests) == ("f", HEAD, [TEST, "check(f)"])


def test_a_test_column_is_a_file_of_tests_unless_it_defines_check() -> None:
    functions = "def test_a():\n    assert f(1) == 2\n"
    assert read({"test": functions}, "p").style == "file"
    assert read({"test": functions, "entry_point": "f"}, "p").style == "file"
    assert read({"test": f"{functions}{TEST}", "entry_point": "f"}, "p").style == "assert"
    with pytest.raises(BadTests, match="no entry_point"):
        read({"test": TEST}, "p")


def test_a_prompt_without_the_function_head_is_no_code() -> None:
    suite = read({"prompt": "Write f.", "test": TEST, "entry_point": "f"}, "f = 1")
    assert (suite.sources, suite.helpers) == (["f = 1"], "")


@pytest.mark.parametrize(
    ("row", "style", "case"),
    [
        (
            {"inputs": ["1\n"], "outputs": ["2\n"]},
            "stdin",
            GradingCase(given="1\n", expected="2\n"),
        ),
        (
            {"inputs": [["1", "2"]], "outputs": [["3"]]},
            "stdin",
            GradingCase(given="1\n2", expected="3"),
        ),
        (
            {"inputs": [[1, [2]]], "outputs": [3], "fn_name": "f"},
            "call",
            GradingCase(given=[1, [2]], expected=3),
        ),
        (
            {"inputs": ['1\n"a"'], "outputs": ["[3]"], "fn_name": "f"},
            "call",
            GradingCase(given=[1, "a"], expected=[3]),
        ),
        (
            {"input_output": '{"fn_name": "f", "inputs": [[1]], "outputs": [[3]]}'},
            "call",
            GradingCase(given=[1], expected=[3], wrapped=True),
        ),
        (
            {"public_test_cases": '[{"input": "1", "output": "2", "testtype": "stdin"}]'},
            "stdin",
            GradingCase(given="1", expected="2"),
        ),
        (
            {
                "public_test_cases": [{"input": "1\n2", "output": "3", "testtype": "functional"}],
                "metadata": '{"func_name": "f"}',
            },
            "call",
            GradingCase(given=[1, 2], expected=3),
        ),
    ],
)
def test_cases(row: dict[str, Any], style: str, case: GradingCase) -> None:
    suite = read(row, "program")
    assert suite.style == style
    assert suite.cases == [case]


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def test_hidden_cases_are_unpacked() -> None:
    hidden = packed(json.dumps([{"input": "1", "output": "2", "testtype": "stdin"}]))
    row = {"public_test_cases": "[]", "private_test_cases": hidden}
    assert read(row, "program").cases == [GradingCase(given="1", expected="2")]


class Bomb:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit",)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "no tests"),
        ({"test_list": []}, "no tests"),
        ({"inputs": [], "outputs": []}, "no tests"),
        ({"inputs": ["1"], "outputs": []}, "1 inputs but 0 outputs"),
        ({"input_output": "{"}, "input_output is not JSON"),
        ({"input_output": "[]"}, "input_output is not an object"),
        ({"inputs": ["x"], "outputs": ["1"], "fn_name": "f"}, "an input is not JSON"),
        ({"inputs": [5], "outputs": [1], "fn_name": "f"}, "must be a list of arguments"),
        ({"private_test_cases": packed(Bomb())}, "refused: builtins.exec"),
        ({"private_test_cases": "!"}, "cannot be read"),
        (
            {"public_test_cases": '[{"input": "", "output": "", "testtype": "functional"}]'},
            "no func_name",
        ),
    ],
)
def test_a_row_that_cannot_be_judged_says_why(row: dict[str, Any], says: str) -> None:
    with pytest.raises(BadTests, match=says):
        read(row, "program")
