"""The samples whose advantages vary most, over the whole step (D3S, sample level)."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from recipes.spec import Number
from trainer.batch import TokenBatch
from trainer.segments import seq_mean
from trainer.selections import selection


@selection.register(paper="https://arxiv.org/abs/2509.22115")
def advantage_variance(
    batch: TokenBatch,
    *,
    frac: Annotated[
        Number, Field(gt=0, le=1, description="share of the step's samples; D3S raises it")
    ] = 0.5,
) -> Tensor:
    """The subset of the step's samples whose advantages have the largest variance.

    Groups do not matter: the `max_variance` filter keeps so many of every group, this one may
    take a whole group and none of another. Advantages stay as computed from all samples.
    The best subset of a size is the k largest and the rest smallest, for some k. Wang et al. 2025
    (D3S), which raises the share over the run: `frac: {name: linear, start: 0.25, end: 1.0, ...}`.
    Ties go by sample id. Without any variance, every sample is kept. Confidence: reconstructed
    from secondary sources; the published shares are not known.
    Returns keep [S] bool.
    """
    credit = seq_mean(batch.advantages, batch, batch.action_mask).double()
    size, count = len(credit), max(math.ceil(frac * len(credit)), 1)
    if bool((credit == credit[0]).all()):
        return torch.ones(size, dtype=torch.bool)
    by_id = batch.sample_ids.argsort()
    order = by_id[credit[by_id].argsort(descending=True, stable=True)]
    ranked = torch.cat([torch.zeros(1, dtype=torch.float64), credit[order]])
    sums, squares = ranked.cumsum(0), (ranked**2).cumsum(0)
    top = torch.arange(count + 1)  # so many of the largest, the others of the smallest
    tail = size - (count - top)
    total = sums[top] + sums[-1] - sums[tail]
    total_square = squares[top] + squares[-1] - squares[tail]
    variance = total_square / count - (total / count) ** 2
    best = int(variance.argmax())
    keep = torch.zeros(size, dtype=torch.bool)
    keep[order[:best]] = True
    keep[order[size - (count - best) :]] = True
    return keep
