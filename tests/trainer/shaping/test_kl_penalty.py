import pytest
import torch

from tests.support.builders import annotated, batch
from trainer.shaping.kl_penalty import kl_penalty


def test_the_sum_over_sampled_tokens_is_taken_off():
    of = annotated(batch([[1, 0]], [[[2, 1], 1]], prompts=[1]))
    gap = torch.tensor([9.0, 0.5, -0.25, 9.0, 1.0, 9.0, 2.0])
    of = of.replace(ref_logprobs=of.old_logprobs - gap)
    assert kl_penalty(of, coef=0.1).tolist() == pytest.approx([1 - 0.125, -0.2])
