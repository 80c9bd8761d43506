import dataclasses

import pytest

from rollout.filters.drop_uniform import drop_uniform
from rollout.types import Drop, Keep
from tests.support.builders import group, sample


def mixed(*samples):
    return dataclasses.replace(group([1]), samples=samples)


@pytest.mark.parametrize("rewards", [[1, 1, 1], [0, 0], [0.5, 0.5], [1]])
def test_equal_rewards_have_no_signal(rewards):
    decision = drop_uniform(group(rewards))
    assert isinstance(decision, Drop)
    assert decision.bucket == "zero_signal"
    assert decision.reason == "all samples have the same reward"


def test_a_group_with_contrast_is_kept_as_it_is():
    mixed_group = group([1, 0, 0])
    decision = drop_uniform(mixed_group)
    assert isinstance(decision, Keep)
    assert decision.group is mixed_group


def test_on_correct_partial_rewards_are_no_contrast():
    both_wrong = mixed(sample(0.3, correct=False), sample(0.1, correct=False, index=1))
    assert isinstance(drop_uniform(both_wrong), Keep)
    assert isinstance(drop_uniform(both_wrong, on="correct"), Drop)


def test_missing_verdicts_are_no_contrast():
    assert isinstance(drop_uniform(group([1, 0, 1], missing=[1])), Drop)
