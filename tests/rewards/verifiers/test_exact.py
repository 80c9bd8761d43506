"""exact: the same letters."""

import asyncio

import pytest

from recipes.slots.registry import function_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier


def judge(answer: str, response: str, **options: object) -> Verdict:
    problem = Problem(id="p", messages=(), answer=answer)
    score = function_of(verifier.bind({"name": "exact", **options}))
    return asyncio.run(score(problem, response))


@pytest.mark.parametrize(
    ("answer", "response", "correct"),
    [
        ("Paris", "The answer is Paris.", True),
        ("Paris", "The answer is **paris**.", True),
        ("Paris", r"\boxed{ Paris }", True),
        ("Paris", "The answer is Parish.", False),
        ("Paris", "Paris is lovely. The answer is Rome.", False),
        ("1/2", "0.5", False),
        ("-5", "\u22125", True),
        ("a b", "a   b", True),
        ("a b", "ab", False),
        ("5", "", False),
        ("5", "The answer is 5? No.", False),
        ("5", "5, no wait", False),
        ("5", "I doubt it is 5.", False),
        ("5", "There is no doubt that the answer is 5.", True),
        ("cat", "The answer is cat. Or dog.", False),
        ("cat", r"The answer is not \boxed{cat}.", False),
        ("cat", r"\boxed{cat} is wrong.", False),
        ("cat", r"It is not a dog but a \boxed{cat}.", True),
    ],
)
def test_letters_decide(answer: str, response: str, correct: bool) -> None:
    verdict = judge(answer, response)
    assert verdict.correct is correct
    assert verdict.reward == float(correct)
    assert verdict.reason


def test_case_counts_on_request() -> None:
    assert judge("Ab", "ab").correct
    assert not judge("Ab", "ab", case=True).correct
    assert judge("Ab", "Ab", case=True).correct


def test_the_verdict_carries_the_answer() -> None:
    assert judge("Rome", "The answer is Oslo.").answer == "Oslo"


def test_an_empty_gold_answer_gives_no_verdict() -> None:
    assert judge("", "").is_missing


def test_where_and_marker_limit_the_search() -> None:
    assert not judge("5", "The answer is 5.", where="boxed").correct
    assert judge("5", "2+3=#5", marker="#").correct
    assert not judge("5", "5", marker="#").correct
