import pytest
import torch

from recipes.errors import RecipeError
from tests.support.builders import batch
from trainer.shaping import shaping
from trainer.shaping.heron import heron

EXAMPLES = [
    {"factors": ["format", "style"]},
    {"factors": ["calls", "style"], "lower_is_better": ["calls"], "margin": 0.0},
]


def of(tests, style):
    return batch([[0.0] * len(tests)], components={"tests": [tests], "style": [style]})


def test_the_first_factor_that_differs_decides_a_pair():
    # 0 beats 1 and 2 by tests; 1 beats 2 by style
    rewards = heron(of([1, 0, 0], [0, 9, 3]), factors=["tests", "style"], margin=0.0)
    assert rewards.tolist() == [1.0, 0.0, -1.0]


def test_a_difference_within_the_margin_goes_to_the_next_factor():
    # tests deviate by 0.0471 (0.1, 0.1, 0): a margin of 3 of them, 0.141, leaves them undecided
    rewards = heron(of([0.1, 0.1, 0.0], [1, 2, 3]), factors=["tests", "style"], margin=3.0)
    assert rewards.tolist() == [0.0, 0.0, 0.0]  # and 3 deviations of style, 2.45, too
    rewards = heron(of([0.1, 0.1, 0.0], [1, 2, 3]), factors=["tests", "style"], margin=1.0)
    # tests: 0 and 1 beat 2 (0.1 > 0.047); style: 1 against 0 differs by 1, the margin is 0.816
    assert rewards.tolist() == [0.0, 1.0, -1.0]


def test_the_scale_of_a_factor_changes_nothing():
    small, large = of([0.3, 0.1, 0.7], [1, 2, 0]), of([30.0, 10.0, 70.0], [1, 2, 0])
    assert torch.equal(
        heron(small, factors=["tests", "style"]), heron(large, factors=["tests", "style"])
    )


def test_less_may_be_better():
    rewards = heron(of([5, 1], [0, 0]), factors=["tests"], lower_is_better=["tests"])
    assert rewards.tolist() == [-1.0, 1.0]


def test_a_sample_without_a_factor_is_in_no_pair():
    rewards = heron(of([1, float("nan"), 0], [0, 0, 0]), factors=["tests"])
    assert rewards.tolist() == [1.0, 0.0, -1.0]


def test_alone_or_all_equal_is_a_draw():
    assert heron(of([1], [0]), factors=["tests"]).tolist() == [0.0]
    assert heron(of([1, 1], [2, 2]), factors=["tests", "style"]).tolist() == [0.0, 0.0]


def test_pairs_are_within_a_group():
    several = batch([[0, 0], [0, 0]], components={"tests": [[1, 0], [9, 8]]})
    assert heron(several, factors=["tests"], margin=0.0).tolist() == [1, -1, 1, -1]


def test_unknown_factors_are_refused():
    with pytest.raises(RecipeError):
        heron(of([1], [0]), factors=["speed"])
    with pytest.raises(RecipeError):
        shaping.bind({"name": "heron", "factors": ["a"], "lower_is_better": ["b"]})
