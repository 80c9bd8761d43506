"""numeric: one number, within a tolerance."""

import asyncio

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import function_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier


def judge(answer: str, response: str, **options: object) -> Verdict:
    problem = Problem(id="p", messages=(), answer=answer)
    score = function_of(verifier.bind({"name": "numeric", **options}))
    return asyncio.run(score(problem, response))


@pytest.mark.parametrize(
    ("answer", "response", "correct"),
    [
        ("1234", "The total is 1,234 dollars.", True),
        ("1,234", "1234", True),
        ("0.5", r"\boxed{\frac{1}{2}}", True),
        ("2.5", "The answer is 2 1/2.", True),
        ("50%", "0.5", True),
        ("50%", "50", True),
        ("50", "50%", True),
        ("0.5", "0.5%", False),
        ("5", "$5.00", True),
        ("5", "x = 5", True),
        ("5", r"\boxed{5\text{ cm}}", True),
        ("18", "16 - 3 - 4 = 9 and 9 * 2 = 18", True),
        ("5", "5.1", False),
        ("5", "-5", False),
        ("5", "5 or 6", False),
        ("5", "The answer is one of 4, 5, 6.", False),
        ("5", "five", False),
        ("5", "", False),
        ("0.1", "1/10", True),
        ("1000000", "1000001", False),
    ],
)
def test_numbers_decide(answer: str, response: str, correct: bool) -> None:
    verdict = judge(answer, response)
    assert verdict.correct is correct
    assert verdict.reward == float(correct)


@pytest.mark.parametrize(
    ("response", "options", "correct"),
    [
        ("101", {"abs_tol": 1.0}, True),
        ("101.01", {"abs_tol": 1.0}, False),
        ("99", {"abs_tol": 1.0}, True),
        ("102", {"rel_tol": 0.02}, True),
        ("102.1", {"rel_tol": 0.02}, False),
        ("100", {}, True),
        ("100.0000001", {}, False),
    ],
)
def test_tolerances_are_inclusive(response: str, options: dict[str, float], correct: bool) -> None:
    assert judge("100", response, **options).correct is correct


@pytest.mark.parametrize(
    "said",
    [
        "not 902", "never 902", "anything but 902", "at least 902", "more than 902", "one of 902",
        "twice 902", "half of 902", "negative 902", "minus 902", "902 squared", "902 dozen",
        "902 thousand", "902 is wrong", "902 or less", "902 or 903", "902, 903", "902?",
        "not x = 902", "x > 902", "no 902", "maybe 902", "all except 902", "either 902",
    ],
)  # fmt: skip
def test_what_stands_beside_a_number_may_take_it_back(said: str) -> None:
    assert not judge("902", f"12#{said}", marker="#").correct
    assert not judge("902", rf"\boxed{{\text{{{said}}}}}").correct


@pytest.mark.parametrize("said", ["902 apples", "x = 902", "about 902", "exactly 902", "902."])
def test_other_words_beside_a_number_do_not(said: str) -> None:
    assert judge("902", f"12#{said}", marker="#").correct


def test_a_sign_may_be_a_word() -> None:
    assert judge("-5", "The answer is negative 5.").correct
    assert judge("-5", "#minus 5", marker="#").correct


def test_the_answer_after_a_marker() -> None:
    assert judge("42", "12+30#42", marker="#").correct
    assert not judge("42", "42", marker="#").correct
    assert judge("42", "12+30#4 2", marker="#").answer == "4 2"


def test_a_gold_answer_that_is_no_number_gives_no_verdict() -> None:
    verdict = judge("x+1", "2")
    assert verdict.is_missing
    assert "x+1" in verdict.reason


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(RecipeError, match="abs_tol"):
        verifier.bind({"name": "numeric", "abs_tol": -1.0})
