"""Call and stdin style: sends inputs, compares the plain data or the text that comes back."""

import math
import signal
from collections import deque
from decimal import Decimal, InvalidOperation

from rewards.sandbox.grading.counter import AssertionCounter, short
from rewards.sandbox.grading.proxy import Channel, NotStarted, RemoteProgram
from rewards.sandbox.grading.row_tests import RowTests
from rewards.sandbox.inside.codec import Plain, is_a


def run_calls(
    tests: RowTests, channel: Channel, counter: AssertionCounter, tolerance: float
) -> None:
    """One call for each case, all in one process, as the data sets' own harnesses do."""
    counter.total = len(tests.cases)
    program = RemoteProgram(channel, echo=False)
    program.load(tests.sources, usual_imports=True)
    function = program.name(tests.entry)
    for number, case in enumerate(tests.cases, 1):
        try:
            got = function(*case.given)
            passed = same_value(got, case.expected, tolerance=tolerance)
            if not passed and case.wrapped and isinstance(case.expected, list):
                alone = len(case.expected) == 1
                passed = alone and same_value(got, case.expected[0], tolerance=tolerance)
        except Exception as error:
            counter.failed_with(f"case {number}", error)
        else:
            counter.record(f"case {number}", passed, "" if passed else f"got {short(got, repr)}")


def run_scripts(
    tests: RowTests, channel: Channel, counter: AssertionCounter, tolerance: float, cpu_s: float
) -> None:
    """One run of the program for each case, each in a new process with an empty folder.

    cpu_s: processor time of one run.
    """
    counter.total = len(tests.cases)
    most = channel.most_bytes // 2 - 1024  # the output travels as hexadecimal text
    fixed = {"op": "run", "source": tests.sources[0], "most": most, "cpu_s": math.ceil(cpu_s)}
    for number, case in enumerate(tests.cases, 1):
        answer = channel.ask({**fixed, "stdin": case.given})
        if not answer.get("sealed"):
            raise NotStarted(f"the sandbox did not start for case {number}")
        output = bytes.fromhex(str(answer["output"]))
        text = output.decode("utf-8", "replace")
        if len(output) > most:
            passed, why = False, f"more than {most} bytes of output"
        elif answer["status"] in (-signal.SIGXCPU, -signal.SIGKILL):
            passed, why = False, "processor time or memory is used up"
        elif answer["status"] != 0:
            passed, why = False, f"exit status {answer['status']}"
        else:
            passed = same_text(text, case.expected, tolerance=tolerance)
            why = f"got {text!r:.200}"
        counter.record(f"case {number}", passed, why)


def same_value(got: Plain, expected: Plain, *, tolerance: float) -> bool:
    """Equal as JSON would see it: tuples, deques and arrays are lists, numbers may be of any kind.

    tolerance: for numbers that are not both whole; relative, and absolute for those below 1.
    """
    got, expected = _as_json(got), _as_json(expected)
    if isinstance(got, float) or isinstance(expected, float):
        if not isinstance(got, int | float) or not isinstance(expected, int | float):
            return False
        try:
            near = math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
        except OverflowError:  # an integer beyond every float
            return False
        return near or got == expected
    if isinstance(got, list | tuple) and isinstance(expected, list | tuple):
        return len(got) == len(expected) and all(
            same_value(a, b, tolerance=tolerance) for a, b in zip(got, expected, strict=True)
        )
    if isinstance(got, dict) and isinstance(expected, dict):
        return len(got) == len(expected) and all(
            key in got and same_value(got[key], item, tolerance=tolerance)
            for key, item in expected.items()
        )
    return bool(got == expected)


def _as_json(value: Plain) -> Plain:
    """Deques and arrays as lists, decimals and fractions as floats."""
    if isinstance(value, deque):
        return list(value)
    if is_a(value, "array", "array") or is_a(value, "numpy", "ndarray"):
        return value.tolist()
    if isinstance(value, Decimal) or is_a(value, "fractions", "Fraction"):
        try:
            return float(value)
        except (OverflowError, ValueError):  # beyond every float, a signalling NaN
            return value
    return value


def same_text(got: str, expected: str, *, tolerance: float) -> bool:
    """Equal line by line, blank space at line ends and blank lines at the end ignored.

    Lines that differ are compared word by word; two words are also the same when both are decimal
    numbers within `tolerance`, and one of them is not whole.
    """
    got_lines, expected_lines = _lines(got), _lines(expected)
    if len(got_lines) != len(expected_lines):
        return False
    for line, wanted in zip(got_lines, expected_lines, strict=True):
        if line == wanted:
            continue
        words, wanted_words = line.split(), wanted.split()
        if len(words) != len(wanted_words) or not all(
            a == b or _same_decimal(a, b, tolerance)
            for a, b in zip(words, wanted_words, strict=True)
        ):
            return False
    return True


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.strip().split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_decimal(got: str, expected: str, tolerance: float) -> bool:
    if not any(mark in word for word in (got, expected) for mark in ".eE"):
        return False
    try:
        a, b = Decimal(got), Decimal(expected)
    except InvalidOperation:
        return False
    if not (a.is_finite() and b.is_finite()):
        return False
    near, far = float(a), float(b)
    return a == b or (
        math.isfinite(near + far) and math.isclose(near, far, rel_tol=tolerance, abs_tol=tolerance)
    )
