import math

import torch

from tests.support.builders import batch
from trainer.corrections.truncated_is import truncated_is


def test_ratios_of_a_half_three_and_one_with_a_cap_of_two():
    of = batch([[1]], [[3]], prompts=[1])
    steps = torch.tensor([9.0, math.log(0.5), math.log(3.0), 0.0])
    weights = truncated_is(of.replace(old_logprobs=of.behavior_logprobs + steps), cap=2.0)
    torch.testing.assert_close(weights, torch.tensor([0, 0.5, 2.0, 1.0]))


def test_a_nan_in_the_prompt_does_not_leak():
    of = batch([[1]], [[2]], prompts=[1])
    broken = of.behavior_logprobs.clone()
    broken[0] = float("nan")
    assert truncated_is(of.replace(old_logprobs=broken)).tolist() == [0, 1, 1]
