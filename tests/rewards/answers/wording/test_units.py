"""Units after a number."""

from fractions import Fraction

import pytest

from rewards.answers.wording.roles import Refused, Unread
from rewards.answers.wording.units import is_unit_word, read_unit


@pytest.mark.parametrize(
    ("parts", "dimensions", "factor"),
    [
        (["cm"], {"length": 1}, Fraction(1, 100)),
        (["centimeters"], {"length": 1}, Fraction(1, 100)),
        (["cm", "^", "2"], {"length": 2}, Fraction(1, 10_000)),
        (["square", "centimeters"], {"length": 2}, Fraction(1, 10_000)),
        (["km", "/", "h"], {"length": 1, "time": -1}, Fraction(5, 18)),
        (["kilometers", "per", "hour"], {"length": 1, "time": -1}, Fraction(5, 18)),
        (["m", "/", "s", "^", "2"], {"length": 1, "time": -2}, Fraction(1)),
        (["cents"], {"money:usd": 1}, Fraction(1, 100)),
        (["hours", "of", "work"], {"time": 1}, Fraction(3600)),
    ],
)
def test_units_have_dimensions_and_a_size(
    parts: list[str], dimensions: dict[str, int], factor: Fraction
) -> None:
    unit = read_unit(parts)
    assert unit is not None
    assert dict(unit.dimensions) == dimensions
    assert unit.factor == factor


def test_other_words_are_things_counted() -> None:
    assert read_unit(["red", "apples"]).counts_things
    assert read_unit(["square", "units"]).counts_things
    assert read_unit(["apple"], one=True).counts_things


@pytest.mark.parametrize(
    "parts", [["or", "more"], ["apples", "or", "pears"], ["2"], ["apple"], ["m", "x"], ["off"]]
)
def test_words_that_are_neither_a_unit_nor_a_plural_are_not_read(parts: list[str]) -> None:
    with pytest.raises(Unread):
        read_unit(parts)


def test_a_word_that_denies_is_refused() -> None:
    with pytest.raises(Refused, match="'wrong'"):
        read_unit(["apples", "wrong"])


def test_variables_are_no_units() -> None:
    assert not is_unit_word("x")
    assert not is_unit_word("t")
