"""choice: one letter."""

import asyncio

import pytest

from recipes.slots.registry import function_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier


def judge(answer: str, response: str, **options: object) -> Verdict:
    problem = Problem(id="p", messages=(), answer=answer)
    score = function_of(verifier.bind({"name": "choice", **options}))
    return asyncio.run(score(problem, response))


@pytest.mark.parametrize(
    ("answer", "response", "correct"),
    [
        ("C", "The answer is (C).", True),
        ("C", r"\boxed{\textbf{(C)}\ 12}", True),
        ("(C)", "c", True),
        ("c", "C", True),
        ("C", "The answer is C) 12 or D) 15", False),
        ("C", "A, B, C or D", False),
        ("C", "The answer is (B).", False),
        ("A", "A good way to begin is to expand the product.", False),
        ("C", "", False),
        ("C", "(C) 12 is wrong", False),
        ("C", "C. No, B.", False),
        ("C", "The answer is C. Or B.", False),
        ("C", r"Either \boxed{B} or \boxed{C}", False),
        ("C", r"\boxed{\text{not C}}", False),
        ("C", "The answer is (C), not (B).", True),
    ],
)
def test_the_letter_decides(answer: str, response: str, correct: bool) -> None:
    assert judge(answer, response).correct is correct


def test_the_verdict_carries_the_letter() -> None:
    assert judge("C", "The answer is option B.").answer == "B"


def test_a_gold_answer_that_is_no_letter_gives_no_verdict() -> None:
    assert judge("12", "C").is_missing
