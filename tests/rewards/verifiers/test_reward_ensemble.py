import pytest

from recipes.errors import RecipeError
from rewards.verifiers import verifier
from tests.support.verifiers import broken, judge, pays

MEMBERS = {"a": pays(1.0), "b": pays(2.0), "c": pays(6.0)}  # mean 3, variance 14 / 3


@pytest.mark.parametrize(
    ("combine", "reward"),
    [("mean", 3.0), ("min", 1.0), ("mean_minus_variance", 3 - 0.5 * 14 / 3)],
)
def test_members_are_combined(combine, reward):
    verdict = judge("reward_ensemble", components=MEMBERS, combine=combine)
    assert verdict.reward == pytest.approx(reward)
    assert verdict.components == {
        "a": 1,
        "b": 2,
        "c": 6,
        "ensemble_std": pytest.approx((14 / 3) ** 0.5),
    }


def test_the_penalty_has_a_coefficient():
    verdict = judge("reward_ensemble", components=MEMBERS, combine="mean_minus_variance", coef=0.0)
    assert verdict.reward == pytest.approx(3.0)


def test_agreement_costs_nothing():
    members = {"a": pays(0.4), "b": pays(0.4)}
    for combine in ("mean", "min", "mean_minus_variance"):
        assert judge(
            "reward_ensemble", components=members, combine=combine
        ).reward == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("said", "by_mean", "by_min"),
    [("yyn", True, False), ("yyy", True, True), ("ynn", False, False), ("yn", False, False)],
)
def test_a_majority_says_what_is_correct_and_the_lowest_wants_all(said, by_mean, by_min):
    members = {str(i): pays(1.0, correct=word == "y") for i, word in enumerate(said)}
    assert judge("reward_ensemble", components=members).correct is by_mean
    assert judge("reward_ensemble", components=members, combine="min").correct is by_min


def test_a_missing_member_is_missing_or_left_out_and_never_0():
    members = {"a": pays(1.0), "b": broken("no reply"), "c": pays(3.0)}
    verdict = judge("reward_ensemble", components=members)
    assert verdict.is_missing and verdict.reason == "b: no reply"
    kept = judge("reward_ensemble", components=members, missing="skip")
    assert kept.reward == 2.0 and "b" not in kept.components
    none = judge("reward_ensemble", components={"a": broken(), "b": broken()}, missing="skip")
    assert none.is_missing


def test_one_member_is_no_ensemble():
    with pytest.raises(RecipeError, match="ensemble of one"):
        verifier.bind({"name": "reward_ensemble", "components": {"a": "exact"}})
