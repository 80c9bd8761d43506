"""Is this what was expected? Comparisons of plain data, for calls and for printed text."""

import math
from decimal import Decimal, InvalidOperation
from typing import Any


def same_value(got: Any, expected: Any, *, tolerance: float) -> bool:
    """Equal as JSON would see it: tuples are lists; numbers may differ by `tolerance` if not whole.

    tolerance: relative, and absolute for numbers below 1.
    """
    if isinstance(got, float) or isinstance(expected, float):
        return _same_number(got, expected, tolerance)
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


def _same_number(got: Any, expected: Any, tolerance: float) -> bool:
    if not isinstance(got, int | float) or not isinstance(expected, int | float):
        return False
    try:
        return got == expected or math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:  # an integer beyond every float
        return False


def same_text(got: str, expected: str, *, tolerance: float) -> bool:
    """Equal line by line, blank space at line ends and blank lines at the end ignored.

    Lines that differ are compared word by word; two words are also the same when both are decimal
    numbers within `tolerance`, and one of them is not whole.
    """
    got_lines, expected_lines = _lines(got), _lines(expected)
    return len(got_lines) == len(expected_lines) and all(
        a == b or _same_words(a.split(), b.split(), tolerance)
        for a, b in zip(got_lines, expected_lines, strict=True)
    )


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.strip().split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_words(got: list[str], expected: list[str], tolerance: float) -> bool:
    return len(got) == len(expected) and all(
        a == b or _same_decimal(a, b, tolerance) for a, b in zip(got, expected, strict=True)
    )


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
