"""A penalty that grows over the last stretch before the limit."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled, ScheduledTokens
from trainer.batch import TokenBatch
from trainer.ops.segments import seq_count
from trainer.shaping import shaping


@shaping.register(paper="https://arxiv.org/abs/2503.14476", tags=("length",))
def soft_overlong(
    batch: TokenBatch,
    *,
    limit: Annotated[ScheduledTokens, Field(gt=0, description="Longest completion, tokens")],
    buffer: Annotated[
        ScheduledTokens,
        Field(gt=0, description="Number of tokens before the limit over which the penalty grows"),
    ],
    factor: Annotated[
        Scheduled, Field(ge=0, description="Penalty at the limit, reward units")
    ] = 1.0,
) -> torch.Tensor:
    """Reward minus a penalty, 0 up to limit - buffer and `factor` at the limit.

    Warns of the limit before a sample runs into it; `cosine_length` rewards length all along.
    Yu et al. 2025 (DAPO). Departure: beyond the limit the penalty stays at `factor`, where the
    authors' code lets it grow. Length is the tokens the policy sampled.
    Returns rewards [S], reward units.
    """
    length = seq_count(batch, batch.action_mask)
    over = (length - (limit - buffer)) / buffer
    return batch.rewards - factor * over.clamp(0, 1)
