"""Only the tokens at which the policy was most undecided."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.masks import mask


@mask.register(needs=("entropy",), paper="https://arxiv.org/abs/2506.01939")
def top_entropy(
    batch: TokenBatch,
    *,
    frac: Annotated[
        Scheduled, Field(gt=0, le=1, description="Share of the step's action tokens that learn")
    ] = 0.2,
) -> torch.Tensor:
    """Action tokens whose entropy is at least the (1 - frac) quantile of the whole step.

    `high_product` also asks for a large advantage. Wang et al. 2025 (80/20). The quantile is
    interpolated, ties are kept. Departure: a masked token leaves the reduction's divisor,
    so with `token_mean` the update is about 1 / frac times as large as in TRL, which divides by
    all action tokens. No action token gives an empty mask.
    Returns bool [T].
    """
    acts = batch.action_mask
    if not bool(acts.any()):
        return torch.zeros_like(acts)
    ordered = batch.entropy[acts].double().sort().values
    place = (1 - frac) * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    threshold = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return acts & (batch.entropy.double() >= threshold)
