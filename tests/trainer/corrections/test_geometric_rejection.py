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


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (0.5, 1.0)])
def test_the_ends_of_the_band_are_inside_it(low, high):
    of = batch([[1]], [[2]], prompts=[1])
    weights = geometric_rejection(of.replace(old_logprobs=of.behavior_logprobs), low=low, high=high)
    assert weights.tolist() == [0, 1, 1]
