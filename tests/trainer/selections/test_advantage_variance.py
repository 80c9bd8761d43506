import itertools
import statistics

import pytest
import torch

from tests.support.builders import batch
from trainer.ops.segments import to_tokens
from trainer.selections.advantage_variance import advantage_variance

EXAMPLES = [{}, {"frac": 0.25}]


def scored(advantages: list[list[float]]):
    of = batch(advantages, [[2] * len(row) for row in advantages])
    return of.replace(advantages=to_tokens(of.rewards, of))


def test_the_extremes_of_the_step_are_kept():
    of = scored([[0.1, -0.1, 2.0], [0.2, -3.0, 0.0]])
    assert advantage_variance(of, frac=1 / 3).tolist() == [False, False, True, False, True, False]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_no_other_subset_varies_more(seed, count):
    values = torch.randn(7, generator=torch.Generator().manual_seed(seed)).tolist()
    keep = advantage_variance(scored([values[:3], values[3:]]), frac=count / 7)
    kept = [value for value, chosen in zip(values, keep.tolist(), strict=True) if chosen]
    best = max(statistics.pvariance(s) for s in itertools.combinations(values, count))
    assert len(kept) == count
    assert statistics.pvariance(kept) == pytest.approx(best)


def test_without_variance_every_sample_is_kept():
    assert advantage_variance(scored([[0, 0], [0, 0]]), frac=0.5).tolist() == [True] * 4
