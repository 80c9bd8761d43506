"""Every reduction, on random ragged batches."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.contracts import stages
from tests.contracts.ragged import Case, batches, cases, empty, quick, shuffled
from trainer.reductions import reduction

pytestmark = pytest.mark.parametrize("case", cases(reduction))


@quick
@given(of=batches(), seed=st.integers(0, 99))
def test_weighs_the_trained_tokens_only(case: Case, of, seed):
    coin = torch.rand(of.num_tokens, generator=torch.Generator().manual_seed(seed)) < 0.5
    masked = of.replace(train_mask=of.train_mask & coin)
    weights = stages.check_tokens(case, masked, torch.float32)
    assert bool((weights >= 0).all())
    assert torch.equal(weights > 0, masked.train_mask)


@quick
@given(drawn=shuffled())
def test_follows_the_order_of_sequences(case: Case, drawn):
    of, order = drawn
    stages.check_order_of_sequences(case, of, order, field="loss_weights")


@quick
@given(of=batches())
def test_ignores_the_names_of_groups(case: Case, of):
    stages.check_names_of_groups(case, of)


@quick
@given(of=batches())
def test_does_not_count_a_sample_without_trained_tokens(case: Case, of):
    assume(of.num_sequences > 1)
    silenced = of.replace(train_mask=of.train_mask & (of.seq_ids > 0))
    rest = silenced.select(range(1, of.num_sequences))
    torch.testing.assert_close(case.call(rest), case.call(silenced)[of.seq_ids > 0])


def test_is_zero_when_nothing_is_trained(case: Case):
    assert not case.call(empty()).any()
