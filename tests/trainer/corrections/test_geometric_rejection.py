import pytest
import torch

from tests.support.builders import batch
from trainer.corrections.geometric_rejection import geometric_rejection


@pytest.mark.parametrize(
    ("ratios", "kept"),
    [([4.0, 0.25], 1), ([1.05, 1.0], 0), ([1.015, 1.0], 1), ([0.97, 1.0], 0), ([1.0], 1)],
)
def test_the_mean_in_nats_decides_for_the_sample(ratios, kept):
    of = batch([[1]], [[len(ratios)]], prompts=[1])
    steps = torch.tensor([5.0, *ratios]).log()
    weights = geometric_rejection(of.replace(old_logprobs=of.behavior_logprobs + steps))
    assert weights.tolist() == [0] + [kept] * len(ratios)
