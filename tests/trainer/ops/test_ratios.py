import math

import torch

from tests.support.builders import annotated, batch, output
from trainer.ops.ratios import log_engine_ratio, log_policy_ratio, log_ratio, sequence_log_ratio


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
