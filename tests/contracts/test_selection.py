"""Every selection, on random ragged batches."""

import pytest
import torch
from hypothesis import given

from tests.contracts import stages
from tests.contracts.ragged import Case, batches, cases, empty, quick, shuffled
from trainer.selections import selection

pytestmark = pytest.mark.parametrize("case", cases(selection))


@quick
@given(of=batches())
def test_keeps_some_of_the_sequences(case: Case, of):
    keep = stages.check_sequences(case, of, torch.bool)
    assert bool(keep.any())


@quick
@given(drawn=shuffled())
def test_follows_the_order_of_sequences(case: Case, drawn):
    of, order = drawn
    stages.check_order_of_sequences(case, of, order, field="correct")


@quick
@given(of=batches())
def test_ignores_the_names_of_groups(case: Case, of):
    stages.check_names_of_groups(case, of)


def test_works_without_a_sampled_token(case: Case):
    assert case.call(empty()).dtype == torch.bool
