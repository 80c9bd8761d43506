"""Every advantage estimator, on random ragged batches."""

import pytest
import torch
from hypothesis import given

from tests.contracts import stages
from tests.contracts.ragged import (
    COMPONENTS,
    Case,
    batches,
    cases,
    complete,
    empty,
    quick,
    shuffled,
)
from tests.support.builders import batch
from trainer.advantages import advantage

each = pytest.mark.parametrize("case", cases(advantage))
each_of_a_group = pytest.mark.parametrize("case", cases(advantage, tag="group_baseline"))


@each
@quick
@given(of=batches())
def test_gives_every_action_token_a_finite_number(case: Case, of):
    stages.check_tokens(case, of, torch.float32)


@each
@quick
@given(drawn=shuffled())
def test_follows_the_order_of_sequences(case: Case, drawn):
    of, order = drawn
    stages.check_order_of_sequences(case, of, order, field="advantages")


@each
@quick
@given(of=batches())
def test_ignores_the_names_of_groups(case: Case, of):
    stages.check_names_of_groups(case, of)


@each
def test_is_zero_without_a_sampled_token(case: Case):
    assert not case.call(empty()).any()


@each_of_a_group
@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1])
def test_is_zero_for_a_group_of_equal_rewards(case: Case, reward):
    equal = [[reward] * 3]
    components = dict.fromkeys(COMPONENTS, equal)
    of = complete(batch(equal, [[2, 1, 4]], components=components))
    assert not case.call(of).any()
