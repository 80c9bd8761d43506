"""A penalty on length, only for problems that the policy has mastered (GRPO-lambda)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.ops.segments import group_mean, group_sum, seq_count
from trainer.shaping import shaping


@shaping.register(paper="https://arxiv.org/abs/2505.18086", tags=("length",))
def pass_rate_length(
    batch: TokenBatch,
    *,
    frac: Annotated[
        Scheduled, Field(ge=0, le=1, description="Share of the step's problems that are shortened")
    ] = 0.2,
    alpha: Annotated[
        Scheduled, Field(ge=0, lt=1, description="Largest share of the reward that length can take")
    ] = 0.2,
    select: Annotated[
        Literal["top", "threshold"],
        Field(
            description="Problems to shorten: those with the highest pass rates, or all of "
            "at least 1 - frac"
        ),
    ] = "top",
) -> torch.Tensor:
    """The reward, less for longer right answers in the groups with the highest pass rates.

    Shortens only where accuracy can bear it; `soft_overlong` and `cosine_length` act everywhere.
    A right sample gets reward (1 - alpha sigmoid(z)), z its length in the right ones' standard
    deviations; wrong ones keep their reward. Dai et al. 2025 (GRPO-lambda). Departures: `alpha` is
    a placeholder; `threshold` is the abstract's reading of the method. Equal lengths, or one right
    answer, give z = 0. Confidence: secondary source. A filter on accuracy would throw away groups
    that are all right, which do carry signal here.
    Returns rewards [S], reward units.
    """
    right, length = batch.correct, seq_count(batch, batch.action_mask).float()
    count = group_sum(right.float(), batch).clamp(min=1)
    mean = group_sum(length * right, batch) / count
    spread = (group_sum((length - mean) ** 2 * right, batch) / count).sqrt()
    score = torch.where(spread > 0, (length - mean) / spread.clamp(min=1e-9), 0.0)
    shorter = batch.rewards * (1 - alpha * score.sigmoid())
    rates = group_mean(right.float(), batch)
    chosen = rates >= 1 - frac
    if select == "top":  # the ceil(frac * problems) highest rates; of equal ones, drawn first
        groups, dense = torch.unique(batch.group_ids, return_inverse=True)
        each = torch.zeros(len(groups)).index_put((dense,), rates)
        drawn = torch.zeros(len(groups), dtype=torch.int64)
        drawn = drawn.scatter_reduce(0, dense, batch.sample_ids, "amin", include_self=False)
        order = drawn.argsort()
        order = order[each[order].argsort(descending=True, stable=True)]
        chosen = torch.isin(dense, order[: math.ceil(frac * len(groups))])
    return torch.where(chosen & right, shorter, batch.rewards)
