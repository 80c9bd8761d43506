import math

import torch

from tests.support.builders import batch
from trainer.corrections.masked_is import masked_is


def test_a_ratio_outside_the_band_drops_the_token():
    of = batch([[1]], [[4]], prompts=[1])
    steps = torch.tensor([0.0, 0.4, 0.8, 3.0, 6.0]).clamp(min=0.1).log()
    weights = masked_is(of.replace(old_logprobs=of.behavior_logprobs + steps), low=0.5, high=5.0)
    torch.testing.assert_close(weights, torch.tensor([0, 0, 0.8, 3.0, 0]))


def test_one_is_inside_the_default_band():
    of = batch([[1]], [[1]], prompts=[1])
    old = of.behavior_logprobs + math.log(1.0)
    assert masked_is(of.replace(old_logprobs=old)).tolist() == [0, 1]
