"""Reads a data row's tests, in the layouts of the usual data sets.

    assert style   MBPP: test_list (with test_setup_code, test_imports)
                   HumanEval: test, entry_point (with prompt, run)
    file style     test: test functions as pytest runs them, or classes of unittest
    call style     fn_name with inputs and outputs; LiveCodeBench's functional test cases
    stdin style    inputs and outputs without fn_name; LiveCodeBench's stdin test cases

Inputs and outputs may be in the row itself, or in `input_output` as JSON (APPS, TACO).
"""

import base64
import io
import json
import pickle
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from rewards.sandbox.inside.codec import Plain

COLUMNS = (
    "test_list", "test_setup_code", "test_imports", "test", "entry_point", "prompt", "run",
    "inputs", "outputs", "fn_name", "input_output", "public_test_cases", "private_test_cases",
    "metadata",
)  # fmt: skip


class BadTests(Exception):
    """The row has no tests, or none that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingCase:
    """One call or one run: `given` is a list of arguments, or the text of standard input."""

    given: Plain
    expected: Plain
    wrapped: bool = False  # the expected value may be in a list of one (APPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTests:
    """The tests of one row, for one program."""

    style: str  # "assert", "file", "call" or "stdin"
    sources: list[str]  # the untrusted program, in parts that run one after the other
    entry: str = ""  # the function under test, where the row names it
    helpers: str = ""  # trusted code that the tests may use (HumanEval's prompt)
    setup: str = ""  # trusted code that runs before the tests
    tests: list[str] = field(default_factory=list)  # assert and file style: trusted test code
    cases: list[GradingCase] = field(default_factory=list)  # call and stdin style


def read(columns: Mapping[str, Plain], program: str) -> RowTests:
    """The row's tests for this program; raises BadTests."""
    if columns.get("test_list"):
        tests = _texts(columns["test_list"])
        imports = "\n".join(_texts(columns.get("test_imports") or []))
        setup = f"{imports}\n{columns.get('test_setup_code') or ''}"
        return RowTests(style="assert", sources=[program], setup=setup, tests=tests)
    if columns.get("test"):
        return _with_test_code(columns, program)
    if columns.get("public_test_cases") or columns.get("private_test_cases"):
        name, cases = _livecodebench(columns)
    else:
        table: Mapping[str, Plain] = columns
        if columns.get("input_output"):
            table = _mapping(_json(columns["input_output"], "input_output"), "input_output")
        inputs, outputs = table.get("inputs") or [], table.get("outputs") or []
        if not isinstance(inputs, list) or not isinstance(outputs, list):
            _refuse("inputs and outputs must be lists")
        if len(inputs) != len(outputs):
            _refuse(f"{len(inputs)} inputs but {len(outputs)} outputs")
        name, wrapped = str(table.get("fn_name") or ""), table is not columns
        pairs = zip(inputs, outputs, strict=True)
        cases = [_case(name, given, expected, wrapped) for given, expected in pairs]
    if not cases:
        raise BadTests("the row has no tests: no test_list, test, inputs or test cases")
    style = "call" if name else "stdin"
    return RowTests(style=style, sources=[program], entry=name, cases=cases)


def _with_test_code(columns: Mapping[str, Plain], program: str) -> RowTests:
    """The response is a whole program, or goes on where the prompt's function head ends."""
    entry, prompt = str(columns.get("entry_point") or ""), str(columns.get("prompt") or "")
    head = prompt if entry and re.search(rf"^\s*def {re.escape(entry)}\b", prompt, re.M) else ""
    whole = re.search(rf"^(?:async\s+def|def|class)\s+{re.escape(entry)}\b", program, re.M)
    whole = whole or re.search(rf"^{re.escape(entry)}\s*[:=]", program, re.M)
    sources = [head, program] if head and whole else [head + program]
    test, run = str(columns["test"]), str(columns.get("run") or "")
    checks = run or re.search(r"^def check\b", test, re.M)
    if not checks and re.search(r"^\s*(?:def test|class \w*Test)", test, re.M):
        return RowTests(style="file", sources=sources, entry=entry, helpers=head, tests=[test])
    if not entry:
        _refuse("the column test has no test functions, and there is no entry_point to check")
    tests = [test, run or f"check({entry})"]
    return RowTests(style="assert", sources=sources, entry=entry, helpers=head, tests=tests)


def _livecodebench(columns: Mapping[str, Plain]) -> tuple[str, list[GradingCase]]:
    rows: list[Plain] = []
    for column in ("public_test_cases", "private_test_cases"):
        value = columns.get(column) or []
        rows += _json(value, column) if column[:2] == "pu" else _unpacked(value)
    about = _mapping(_json(columns.get("metadata") or {}, "metadata"), "metadata")
    name = str(about.get("func_name") or columns.get("fn_name") or "")
    if not name and any(row.get("testtype") == "functional" for row in rows):
        _refuse("functional test cases, but metadata has no func_name")
    return name, [_case(name, row["input"], row["output"], False) for row in rows]


def _case(name: str, given: Plain, expected: Plain, wrapped: bool) -> GradingCase:
    if not name:
        return GradingCase(given=_as_text(given), expected=_as_text(expected))
    if isinstance(given, str):  # one argument a line, each as JSON
        given = [_json(line, "an input") for line in given.split("\n") if line.strip()]
        expected = _json(expected, "an output") if isinstance(expected, str) else expected
    if not isinstance(given, list):
        _refuse(f"the input of a call must be a list of arguments, got {type(given).__name__}")
    return GradingCase(given=given, expected=expected, wrapped=wrapped)


def _as_text(value: Plain) -> str:
    return "\n".join(str(line) for line in value) if isinstance(value, list) else str(value)


def _unpacked(value: Plain) -> Plain:
    """Hidden test cases: JSON, or JSON in a pickled string, compressed, in base 64."""
    if not isinstance(value, str) or value.lstrip().startswith("["):
        return _json(value, "private_test_cases")
    try:
        text = _TextOnly(io.BytesIO(zlib.decompress(base64.b64decode(value)))).load()
    except (ValueError, zlib.error, pickle.UnpicklingError, EOFError) as error:
        _refuse(f"private_test_cases cannot be read: {error}")
    return _json(text, "private_test_cases")


class _TextOnly(pickle.Unpickler):
    """Unpickles strings; anything that would import a name is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"refused: {module}.{name}")


def _json(value: Plain, place: str) -> Plain:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        _refuse(f"{place} is not JSON: {error}")


def _mapping(value: Plain, place: str) -> Mapping[str, Plain]:
    return value if isinstance(value, dict) else _refuse(f"{place} is not an object")


def _texts(value: Plain) -> list[str]:
    if isinstance(value, str):
        value = _json(value, "a list of tests") if value.lstrip().startswith("[") else [value]
    return [str(item) for item in value]


def _refuse(what: str) -> NoReturn:
    raise BadTests(what)
