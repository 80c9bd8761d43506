"""Generalised advantage estimation with a token critic."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.gae import gae_advantages
from trainer.ops.segments import seq_count, whiten


@advantage.register(needs=("values",), paper="https://arxiv.org/abs/1506.02438")
def gae(
    batch: TokenBatch,
    *,
    gamma: Annotated[Scheduled, Field(ge=0, le=1, description="Discount for each token")] = 1.0,
    lam: Annotated[Scheduled, Field(ge=0, le=1, description="Decay of the trace")] = 0.95,
    length_adaptive: Annotated[
        Scheduled, Field(ge=0, description="Value alpha of lam = 1 - 1 / (alpha tokens); 0 = `lam`")
    ] = 0.0,
    standardize: Annotated[
        bool, Field(description="Whether to standardise over the step's action tokens")
    ] = True,
) -> torch.Tensor:
    """The critic's temporal differences, summed forward with exponential decay, for each token.

    The only estimator here that tells the tokens of a sample apart. Schulman et al. 2015.
    The critic's own target has its own decay, in the `value_loss` term, which decouples the two
    (VC-PPO, https://arxiv.org/abs/2503.01491); `length_adaptive` is VAPO's
    (https://arxiv.org/abs/2504.05118), held at 0 or above. A truncated sample bootstraps from 0.
    Returns advantages [T], in standard deviations (reward units without `standardize`); zero where
    `action_mask` is False.
    """
    decay = torch.full_like(batch.rewards, lam)
    if length_adaptive:
        lengths = seq_count(batch, batch.action_mask).clamp(min=1)
        decay = (1 - 1 / (length_adaptive * lengths)).clamp(min=0.0)
    values = gae_advantages(batch, gamma=gamma, lam=decay)
    return whiten(values, batch.action_mask) if standardize else values
