"""format: form alone."""

import asyncio

import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import function_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier


def judge(response: str, **options: object) -> Verdict:
    score = function_of(verifier.bind({"name": "format", **options}))
    return asyncio.run(score(Problem(id="p", messages=(), answer="42"), response))


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        ("<think>a</think><answer>b</answer>", 1.0),
        ("<think>a</think>\n\n<answer>b</answer> bye", 1.0),
        ("<answer>b</answer><think>a</think>", 0.0),
        ("<think>a</think>", 0.0),
        ("<think></think><answer>b</answer>", 0.0),
        ("<think>a</think><answer>b</answer><answer>c</answer>", 0.0),
        ("<think>a<answer>b</answer></think>", 0.0),
        ("", 0.0),
    ],
)
def test_tags_stand_once_in_order_and_are_not_empty(response: str, reward: float) -> None:
    verdict = judge(response, tags=["think", "answer"])
    assert verdict.reward == reward
    assert verdict.correct is (reward == 1.0)


def test_a_box_must_hold_something() -> None:
    assert judge(r"\boxed{1}", boxed=True).correct
    assert not judge(r"\boxed{}", boxed=True).correct
    assert not judge("1", boxed=True).correct


def test_the_reward_is_the_share_of_the_features_and_correct_means_all() -> None:
    verdict = judge(r"<a>x</a>", tags=["a"], boxed=True)
    assert verdict.reward == 0.5
    assert not verdict.correct
    assert verdict.components == {"tags": 1.0, "boxed": 0.0}
    assert verdict.reason == "lacks boxed"


@pytest.mark.slow
def test_a_pattern_must_be_found_across_lines() -> None:
    assert judge("a\nb", pattern="a.b").correct
    assert not judge("ab", pattern="a.b").correct


@pytest.mark.slow
def test_a_pattern_that_backtracks_for_ever_is_killed() -> None:
    assert judge("a" * 40 + "b", pattern="(a+)+$").is_missing


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "has no requirement"), ({"pattern": "("}, "not a regular expression")],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        verifier.bind({"name": "format", **options})
