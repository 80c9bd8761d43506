import torch

from tests.support.builders import batch
from trainer.ops.segments import (
    actions_left,
    group_count,
    group_is_uniform,
    group_max,
    group_mean,
    group_std,
    seq_count,
    seq_mean,
    seq_sum,
    to_tokens,
    whiten,
)

TWO_GROUPS = batch([[1, 0, 0], [2]], [[2, 0, 3], [1]])


def test_sequence_sums_count_masked_tokens_only():
    ones = torch.ones(TWO_GROUPS.num_tokens)
    assert seq_sum(ones, TWO_GROUPS, TWO_GROUPS.action_mask).tolist() == [2, 0, 3, 1]


def test_a_trailing_sequence_without_actions_is_not_lost():
    trailing = batch([[1, 0]], [[2, 0]])
    assert seq_count(trailing, trailing.action_mask).tolist() == [2, 0]


def test_the_mean_of_no_tokens_is_zero():
    trailing = batch([[1, 0]], [[2, 0]])
    values = torch.full((trailing.num_tokens,), 3.0)
    assert seq_mean(values, trailing, trailing.action_mask).tolist() == [3, 0]


def test_a_nan_off_the_mask_stays_out_of_the_sum():
    values = torch.where(TWO_GROUPS.action_mask, 1.0, float("nan"))
    assert seq_sum(values, TWO_GROUPS, TWO_GROUPS.action_mask).tolist() == [2, 0, 3, 1]


def test_group_statistics_by_hand():
    assert group_count(TWO_GROUPS).tolist() == [3, 3, 3, 1]
    mean = group_mean(TWO_GROUPS.rewards, TWO_GROUPS)
    torch.testing.assert_close(mean, torch.tensor([1 / 3, 1 / 3, 1 / 3, 2.0]))
    std = group_std(TWO_GROUPS.rewards, TWO_GROUPS)  # sqrt((4/9 + 1/9 + 1/9) / 2)
    torch.testing.assert_close(std, torch.tensor([0.57735, 0.57735, 0.57735, 0.0]))


def test_a_uniform_groups_mean_is_exactly_its_value():
    tenths = batch([[0.1] * 7])
    assert torch.equal(group_mean(tenths.rewards, tenths), tenths.rewards)
    assert group_is_uniform(tenths.rewards, tenths).all()


def test_to_tokens_is_zero_off_the_actions():
    spread = to_tokens(TWO_GROUPS.rewards, TWO_GROUPS)
    assert spread[TWO_GROUPS.action_mask].tolist() == [1, 1, 0, 0, 0, 2]
    assert not spread[~TWO_GROUPS.action_mask].any()


def test_whitened_values_have_mean_zero_and_bessel_variance_one():
    values, mask = torch.tensor([1.0, 9.0, 3.0, 5.0]), torch.tensor([True, False, True, True])
    white = whiten(values, mask)  # mean 3, variance 4
    torch.testing.assert_close(white, torch.tensor([-1.0, 0.0, 0.0, 1.0]))


def test_whitening_nothing_or_one_value_gives_zero():
    values = torch.tensor([4.0, 2.0])
    assert whiten(values, torch.tensor([False, False])).tolist() == [0, 0]
    assert whiten(values, torch.tensor([True, False])).tolist() == [0, 0]


def test_actions_left_skips_what_the_policy_did_not_sample():
    of = batch([[1, 0]], [[[2, 1], 2]], prompts=[1])  # P a a o a, P a a
    assert actions_left(of).tolist() == [3, 2, 1, 1, 0, 2, 1, 0]


def test_group_max_is_given_to_each_member():
    of = batch([[1, 0], [-1, -2]])
    assert group_max(of.rewards, of).tolist() == [1, 1, -1, -1]
