"""What counts as the expected value, and as the expected text."""

import array
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rewards.sandbox.grading.cases import same_text, same_value


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (3, 3, True),
        (3, 4, False),
        ((1, (2,)), [1, [2]], True),  # JSON has no tuples
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        (0.1 + 0.2, 0.3, True),
        (1.0, 1.1, False),
        (1, 1.0, True),
        (2e9, 2e9 + 1, True),  # within a millionth
        (float("nan"), float("nan"), False),
        (10**400, 1.5, False),
        ("1", 1, False),
        ("a", "a", True),
        (None, None, True),
        (None, [], False),
        (True, True, True),
        ({"a": [1.0]}, {"a": [1.0 + 1e-9]}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, "c": 2}, {"a": 1, "b": 2}, False),
        (iter([1]), [1], False),
        (Decimal("0.3"), 0.3, True),
        (Decimal("0.31"), 0.3, False),
        (Decimal("sNaN"), 0.3, False),
        (Fraction(1, 3), 0.3333333333, True),
        ([Fraction(4, 2)], [2], True),
        (deque([1, 2]), [1, 2], True),
        (deque([2, 1]), [1, 2], False),
        (array.array("i", [1, 2]), [1, 2], True),
        (np.array([[1.0, 2.0]]), [[1, 2]], True),
        (np.array([1, 2]), [1, 3], False),
        (Fraction(10**400), 1.5, False),
    ],
)
def test_values(got: Any, expected: Any, same: bool) -> None:
    assert same_value(got, expected, tolerance=1e-6) == same


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("3\n", "3", True),
        ("3 \n4\n\n", "3\n4\n", True),
        ("3\r\n4\r\n", "3\n4", True),
        ("", "\n", True),
        ("3\n\n4", "3\n4", False),
        ("3 4", "3\n4", False),
        ("a  b", "a b", True),
        ("YES", "yes", False),
        ("0.50", "0.5", True),
        ("0.3333333", "0.33333333333", True),
        ("0.33", "0.3333333", False),
        ("1.0", "1", True),
        ("01", "1", False),
        ("1e400", "1e500", False),
        ("nan", "nan.", False),
        ("inf", "1e999", False),
        ("12345678901234567890", "12345678901234567891", False),
    ],
)
def test_texts(got: str, expected: str, same: bool) -> None:
    assert same_text(got, expected, tolerance=1e-6) == same
