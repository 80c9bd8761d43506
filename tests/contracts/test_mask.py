"""Every mask, on random ragged batches."""

import pytest
import torch
from hypothesis import given

from tests.contracts import stages
from tests.contracts.ragged import Case, batches, cases, empty, quick, shuffled
from trainer.masks import mask

pytestmark = pytest.mark.parametrize("case", cases(mask))


@quick
@given(of=batches())
def test_is_a_part_of_the_action_tokens(case: Case, of):
    stages.check_tokens(case, of, torch.bool)


@quick
@given(drawn=shuffled())
def test_follows_the_order_of_sequences(case: Case, drawn):
    of, order = drawn
    stages.check_order_of_sequences(case, of, order, field="train_mask")


@quick
@given(of=batches())
def test_ignores_the_names_of_groups(case: Case, of):
    stages.check_names_of_groups(case, of)


def test_is_empty_without_a_sampled_token(case: Case):
    assert not case.call(empty()).any()
