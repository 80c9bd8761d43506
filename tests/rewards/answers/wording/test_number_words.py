"""Numbers in words."""

from fractions import Fraction

import pytest

from rewards.answers.wording.number_words import FACTORS, number_from_words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("five", Fraction(5)),
        ("twenty-one", Fraction(21)),
        ("two hundred and six", Fraction(206)),
        ("three thousand", Fraction(3000)),
        ("two thirds", Fraction(2, 3)),
        ("one half", Fraction(1, 2)),
        ("minus five", Fraction(-5)),
        ("apples", None),
        ("and", None),
        ("", None),
    ],
)
def test_numbers_in_words(text: str, value: Fraction | None) -> None:
    assert number_from_words(text) == value


def test_words_that_multiply_the_number_before_them() -> None:
    assert FACTORS["dozen"] == FACTORS["dozens"] == 12
    assert FACTORS["tenths"] == Fraction(1, 10)
    assert "quarters" not in FACTORS
