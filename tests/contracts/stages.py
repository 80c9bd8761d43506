"""What every stage that reads the whole step must satisfy, one assertion function a property."""

import torch
from torch import Tensor

from tests.contracts.ragged import (
    Case,
    assert_close,
    assert_unmodified,
    relabelled,
    snapshot,
)
from trainer.batch import TokenBatch


def check_tokens(case: Case, of: TokenBatch, dtype: torch.dtype) -> Tensor:
    """[T] of `dtype`, finite, zero where the policy sampled nothing, the batch left as it was."""
    before = snapshot(of)
    result = case.call(of)
    assert result.shape == (of.num_tokens,)
    assert result.dtype == dtype
    assert bool(result.isfinite().all())
    assert not result[~of.action_mask].any(), "a token that is no action got something"
    assert not result.requires_grad
    assert_unmodified(of, before)
    return result


def check_sequences(case: Case, of: TokenBatch, dtype: torch.dtype) -> Tensor:
    """[S] of `dtype`, finite, the batch left as it was."""
    before = snapshot(of)
    result = case.call(of)
    assert result.shape == (of.num_sequences,)
    assert result.dtype == dtype
    assert bool(result.isfinite().all())
    assert_unmodified(of, before)
    return result


def check_order_of_sequences(case: Case, of: TokenBatch, order: Tensor, *, field: str) -> None:
    """Another order of the sequences gives the same numbers in that order.

    field: a field of the batch with the shape of the result, used to carry it along
    """
    expected = of.replace(**{field: case.call(of)}).select(order).tensors()[field]
    actual = case.call(of.select(order))
    if expected.dtype == torch.bool:
        assert torch.equal(actual, expected)
    else:
        assert_close(actual, expected)


def check_names_of_groups(case: Case, of: TokenBatch) -> None:
    """What a group is called does not matter."""
    actual, expected = case.call(relabelled(of)), case.call(of)
    assert_close(actual.float(), expected.float())
