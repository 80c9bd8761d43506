"""Every shaping function, on random ragged batches."""

import pytest
import torch
from hypothesis import given

from tests.contracts import stages
from tests.contracts.ragged import Case, batches, cases, empty, quick, shuffled
from trainer.shaping import shaping

pytestmark = pytest.mark.parametrize("case", cases(shaping))


@quick
@given(of=batches())
def test_gives_every_sequence_a_finite_reward(case: Case, of):
    stages.check_sequences(case, of, torch.float32)


@quick
@given(drawn=shuffled())
def test_follows_the_order_of_sequences(case: Case, drawn):
    of, order = drawn
    stages.check_order_of_sequences(case, of, order, field="rewards")


@quick
@given(of=batches())
def test_ignores_the_names_of_groups(case: Case, of):
    stages.check_names_of_groups(case, of)


def test_is_finite_without_a_sampled_token(case: Case):
    assert bool(case.call(empty()).isfinite().all())
