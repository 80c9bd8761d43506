"""Every correction, on random ragged batches."""

import pytest
import torch
from hypothesis import given

from tests.contracts import stages
from tests.contracts.ragged import Case, assert_close, batches, cases, empty, quick, shuffled
from trainer.corrections import correction

pytestmark = pytest.mark.parametrize("case", cases(correction))


@quick
@given(of=batches())
def test_gives_every_action_token_a_weight_that_is_not_negative(case: Case, of):
    weights = stages.check_tokens(case, of, torch.float32)
    assert bool((weights >= 0).all())


@quick
@given(drawn=shuffled())
def test_follows_the_order_of_sequences(case: Case, drawn):
    of, order = drawn
    stages.check_order_of_sequences(case, of, order, field="importance_weights")


@quick
@given(of=batches())
def test_ignores_the_names_of_groups(case: Case, of):
    stages.check_names_of_groups(case, of)


@quick
@given(of=batches())
def test_is_one_where_engine_and_trainer_agree(case: Case, of):
    agreed = of.replace(old_logprobs=of.behavior_logprobs)
    assert_close(case.call(agreed), of.action_mask.float())


def test_is_zero_without_a_sampled_token(case: Case):
    assert not case.call(empty()).any()
