import pytest
import torch

from tests.support.builders import batch
from trainer.shaping.repetition import repetition

EXAMPLES = [{}, {"size": 2, "penalty": 1.0}]


def test_the_share_of_pairs_seen_before():
    of = batch([[1, 1, 1]], [[5, 4, 1]], prompts=[1])
    tokens = torch.tensor([9, 7, 8, 7, 8, 7, 9, 1, 2, 3, 4, 9, 7])
    of = of.replace(token_ids=tokens)
    # 78 87 78 87: two of four repeat; 12 23 34: none; one token: no pair
    assert repetition(of, size=2, penalty=0.4).tolist() == pytest.approx([0.8, 1, 1])


def test_observations_are_not_repetitions():
    of = batch([[1]], [[[2, 2]]], prompts=[1])
    of = of.replace(token_ids=torch.tensor([5, 1, 2, 5, 3, 4]))
    assert repetition(of, size=1, penalty=1.0).tolist() == [1]
