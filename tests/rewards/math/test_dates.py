"""Dates are told apart by month, day and year."""

import pytest

from rewards.math import dates


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\text{June 20}", r"\text{July } 20"),
        ("June 20", "June 21"),
        ("20 June", "July 20th"),
        ("June 20, 2021", "June 20, 2022"),
        ("June 20", "June 20 or July 20"),
        ("June 20", "20 days into May"),
    ],
)
def test_another_month_day_or_year_is_another_date(gold: str, answer: str) -> None:
    assert dates.same(gold, answer) is False


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("June 20", r"20^{\text{th}} \text{ of June}"),
        ("June 20", "June 20, 2021"),
        ("Jan. 5", "January 5"),
        ("June 20", "20"),
    ],
)
def test_the_same_day_in_another_spelling(gold: str, answer: str) -> None:
    assert dates.same(gold, answer) is True


@pytest.mark.parametrize(("gold", "answer"), [("20", "July 20"), (r"\text{Mary}", r"\text{May}")])
def test_a_gold_answer_without_a_month_is_not_a_date(gold: str, answer: str) -> None:
    assert dates.same(gold, answer) is None
