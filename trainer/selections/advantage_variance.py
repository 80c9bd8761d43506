"""The samples whose advantages vary most, over the whole step (D3S, sample level)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.ops.max_variance import max_variance_subset
from trainer.ops.segments import seq_mean
from trainer.selections import selection


@selection.register(paper="https://arxiv.org/abs/2509.22115")
def advantage_variance(
    batch: TokenBatch,
    *,
    frac: Annotated[
        Scheduled, Field(gt=0, le=1, description="Share of the step's samples; D3S raises it")
    ] = 0.5,
) -> torch.Tensor:
    """The subset of the step's samples whose advantages have the largest variance.

    Groups do not matter: `max_variance` keeps so many of every group, this one may take a whole
    group and none of another. Advantages stay as computed from all samples.
    The best subset of a size is the k largest and the rest smallest, for some k. Wang et al. 2025
    (D3S), which raises the share over the run: `frac: {name: linear, start: 0.25, end: 1.0, ...}`.
    Ties go by sample id. Without any variance, every sample is kept. Confidence: reconstructed
    from secondary sources; the published shares are not known.
    Returns keep [S] bool.
    """
    credit = seq_mean(batch.advantages, batch, batch.action_mask).double()
    if bool((credit == credit[0]).all()):
        return torch.ones(len(credit), dtype=torch.bool)
    return max_variance_subset(credit, batch.sample_ids, max(math.ceil(frac * len(credit)), 1))
