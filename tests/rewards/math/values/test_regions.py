"""Sets of reals."""

import pytest

from rewards.math.parse.parser import readings
from rewards.math.values.regions import complement, of, same


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("(1,5)", "1 < x < 5"),
        ("[2,4] \\cup [3,5]", "[2,5]"),
        ("(1,2] \\cup (2,3)", "(1,3)"),
        ("x < -2 \\text{ or } x > 2", "(-\\infty,-2)\\cup(2,\\infty)"),
        ("|x| \\le 1", "[-1,1]"),
        ("\\mathbb{R} \\setminus \\{0\\}", "x \\ne 0"),
        ("[1,3] \\cap [2,5]", "[2,3]"),
        ("x \\in [1,2)", "1 \\le x < 2"),
        ("\\{x \\mid x \\ge 2\\}", "[2,\\infty)"),
        ("0 < x < 2, x \\ne 1", "(0,1)\\cup(1,2)"),
    ],
)
def test_the_same_set(left: str, right: str) -> None:
    first, second = (of(readings(text)[0]) for text in (left, right))
    assert first is not None
    assert second is not None
    assert same(first, second)


@pytest.mark.parametrize(
    ("left", "right"),
    [("(1,5)", "[1,5)"), ("(1,2)\\cup(2,3)", "(1,3)"), ("x > 1", "x < 1"), ("x > 1", "y > 1")],
)
def test_another_set(left: str, right: str) -> None:
    first, second = (of(readings(text)[0]) for text in (left, right))
    assert first is not None
    assert second is not None
    assert not same(first, second)


def test_the_complement_of_the_complement_is_the_set() -> None:
    region = of(readings("[1,2)\\cup(3,\\infty)")[0])
    assert region is not None
    twice = complement(complement(region))
    assert twice is not None
    assert same(region, twice)


@pytest.mark.parametrize("text", ["5", "(5,1)", "x + y > 1", "\\text{yes}", "(1,2,3)"])
def test_what_is_no_set_of_reals(text: str) -> None:
    assert of(readings(text)[0]) is None
