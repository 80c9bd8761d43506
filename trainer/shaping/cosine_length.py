"""A reward between two ends along a cosine of the length."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled, ScheduledTokens
from trainer.batch import TokenBatch
from trainer.ops.segments import seq_count
from trainer.shaping import shaping


@shaping.register(paper="https://arxiv.org/abs/2502.03373", tags=("length", "replaces_reward"))
def cosine_length(
    batch: TokenBatch,
    *,
    limit: Annotated[ScheduledTokens, Field(gt=0, description="Longest completion, tokens")],
    right_short: Annotated[
        Scheduled, Field(description="Reward of a right answer at length 0")
    ] = 2.0,
    right_long: Annotated[
        Scheduled, Field(description="Reward of a right answer at the limit")
    ] = 1.0,
    wrong_short: Annotated[
        Scheduled, Field(description="Reward of a wrong answer at length 0")
    ] = -10.0,
    wrong_long: Annotated[
        Scheduled, Field(description="Reward of a wrong answer just below the limit")
    ] = 0.0,
    exceeded: Annotated[Scheduled, Field(description="Reward at or beyond the limit")] = -10.0,
) -> torch.Tensor:
    """A new reward from correctness and length alone: short right answers, long wrong attempts.

    Replaces the reward, unlike `soft_overlong`, which subtracts. Yeo et al. 2025, with its
    defaults. Confidence: formula and defaults from memory of the paper.
    Returns rewards [S], reward units.
    """
    length = seq_count(batch, batch.action_mask).float()
    falling = (1 + torch.cos(math.pi * (length / limit).clamp(max=1))) / 2  # 1 at 0, 0 at limit
    right = right_long + (right_short - right_long) * falling
    wrong = wrong_long + (wrong_short - wrong_long) * falling
    shaped = torch.where(batch.correct, right, wrong)
    return torch.where(length >= limit, exceeded, shaped)
