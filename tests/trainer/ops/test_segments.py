import math

import torch

from tests.support.builders import annotated, batch, output
from trainer.ops.segments import (
    actions_left,
    group_count,
    group_is_uniform,
    group_max,
    group_mean,
    group_std,
    log_engine_ratio,
    log_policy_ratio,
    log_ratio,
    seq_count,
    seq_mean,
    seq_sum,
    sequence_log_ratio,
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


def sample():
    return annotated(batch([[1, 0]], [[2, 1]], prompts=[1]))


def test_is_the_difference_on_sampled_tokens_and_zero_elsewhere():
    of = sample()
    moved = of.old_logprobs + torch.tensor([9.0, 0.5, -0.25, 9.0, 2.0])
    expected = torch.tensor([0, 0.5, -0.25, 0, 2.0])
    torch.testing.assert_close(log_ratio(moved, of.old_logprobs, of), expected)
    out = output(of, logprobs=moved)
    torch.testing.assert_close(log_policy_ratio(out, of), expected)
    torch.testing.assert_close(log_engine_ratio(of.replace(old_logprobs=moved)), expected)


def test_a_sequences_is_the_sum_of_its_tokens():
    of = sample()
    ratios = torch.tensor([9.0, 0.5, -0.25, 9.0, 2.0])
    assert sequence_log_ratio(ratios, of).tolist() == [0.25, 2.0]


def test_a_nan_off_the_mask_reaches_neither_value_nor_gradient():
    of = sample()
    broken = of.old_logprobs.clone()
    broken[0] = math.nan
    out = output(of, logprobs=broken)
    log_policy_ratio(out, of).exp().sum().backward()
    assert out.logprobs.grad.tolist() == [0, 1, 1, 0, 1]


def test_twenty_nats_are_the_end_and_have_no_gradient():
    of = sample()
    out = output(of, logprobs=of.old_logprobs + torch.tensor([0, 300.0, -300.0, 0, 19.0]))
    ratio = log_policy_ratio(out, of)
    ratio.sum().backward()
    assert ratio.tolist() == [0, 20, -20, 0, 19]
    assert out.logprobs.grad.tolist() == [0, 0, 0, 0, 1]


def test_bfloat16_is_taken_up_first():
    of = sample()
    coarse = of.old_logprobs.bfloat16()
    exact = coarse.float() - of.ref_logprobs
    assert torch.equal(log_ratio(coarse, of.ref_logprobs, of), exact * of.action_mask)
