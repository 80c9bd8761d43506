import pytest
import torch

from tests.support.builders import batch
from trainer.masks.top_entropy import top_entropy

EXAMPLES = [{}, {"frac": 0.6}]


def test_the_two_most_undecided_of_five():
    of = batch([[1]], [[5]], prompts=[1])
    of = of.replace(entropy=torch.tensor([99.0, 0.1, 0.5, 0.2, 0.9, 0.3]))
    kept = top_entropy(of, frac=0.4)
    # quantile 0.6 of five values lies at place 2.4: 0.3 + 0.4 * 0.2
    assert kept.tolist() == [False, False, True, False, True, False]


@pytest.mark.parametrize("frac", [0.05, 0.2, 0.5, 1.0])
def test_equals_torchs_quantile(frac):
    of = batch([[1, 0], [1, 1]], [[6, 3], [[4, 2], 7]])
    entropy = torch.rand(of.num_tokens, generator=torch.Generator().manual_seed(0))
    threshold = torch.quantile(entropy[of.action_mask].double(), 1 - frac)
    kept = top_entropy(of.replace(entropy=entropy), frac=frac)
    assert torch.equal(kept, of.action_mask & (entropy >= threshold))


def test_ties_are_kept():
    of = batch([[1]], [[4]], prompts=[1])
    assert top_entropy(of.replace(entropy=torch.full((5,), 0.5)), frac=0.25).sum() == 4
