import pytest
import torch

from tests.support.builders import batch
from trainer.corrections.sequence_is import sequence_is

EXAMPLES = [{}, {"above": "truncate"}]


def moved(ratios: list[list[float]]):
    of = batch([[1] * len(ratios)], [[len(row) for row in ratios]], prompts=[1])
    steps = torch.tensor([r for row in ratios for r in (5.0, *row)]).log()
    return of.replace(old_logprobs=of.behavior_logprobs + steps)


def test_the_weight_is_the_product_of_the_tokens_ratios():
    weights = sequence_is(moved([[2.0, 0.5, 1.5], [0.5, 0.5]]))
    assert weights.tolist() == pytest.approx([0, 1.5, 1.5, 1.5, 0, 0.25, 0.25])


def test_above_the_cap_the_sample_is_dropped_or_truncated():
    of = moved([[2.0, 2.0]])
    assert sequence_is(of, cap=3.0).tolist() == [0, 0, 0]
    assert sequence_is(of, cap=3.0, above="truncate").tolist() == [0, 3, 3]
