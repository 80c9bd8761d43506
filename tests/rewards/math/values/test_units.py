"""Units after a number."""

from fractions import Fraction

import pytest

from rewards.math.values.units import is_unit_word, number_from_words, read_unit


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
    unit = read_unit(["red", "apples"])
    assert unit is not None
    assert unit.counts_things


@pytest.mark.parametrize("parts", [["or", "more"], ["apples", "or", "pears"], ["2"], []])
def test_words_that_leave_a_choice_are_no_unit(parts: list[str]) -> None:
    assert read_unit(parts) is None


def test_variables_are_no_units() -> None:
    assert not is_unit_word("x")
    assert not is_unit_word("t")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("five", Fraction(5)),
        ("twenty-one", Fraction(21)),
        ("two hundred and six", Fraction(206)),
        ("three thousand", Fraction(3000)),
        ("two thirds", Fraction(2, 3)),
        ("one half", Fraction(1, 2)),
        ("apples", None),
        ("", None),
    ],
)
def test_numbers_in_words(text: str, value: Fraction | None) -> None:
    assert number_from_words(text) == value
