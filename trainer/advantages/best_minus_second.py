"""Credit for the best sample of a group only."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Epsilon
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import group_is_uniform, group_max, group_std, group_sum, to_tokens


@advantage.register(paper="https://arxiv.org/abs/2503.19595", tags=("group_baseline",))
def best_minus_second(
    batch: TokenBatch,
    *,
    std_normalize: Annotated[
        bool, Field(description="Whether to divide by the group's standard deviation (ddof 1)")
    ] = True,
    eps: Annotated[
        Epsilon, Field(gt=0, description="Constant added to the standard deviation")
    ] = 1e-6,
) -> torch.Tensor:
    """The best reward of the group minus the second best, on the best sample; zero on the others.

    The gradient of the expected best of a group; `pass_at_k` spreads credit over all samples.
    Tang et al. 2025. Two samples that share the best reward cancel, so binary rewards with more
    than one success give zero. Groups of one get zero.
    Returns advantages [T], in standard deviations (reward units without `std_normalize`); zero
    where `action_mask` is False.
    """
    rewards = batch.rewards
    best = group_max(rewards, batch)
    is_best = rewards == best
    alone = group_sum(is_best.float(), batch) == 1
    below = torch.where(is_best, torch.full_like(rewards, -torch.inf), rewards)
    second = group_max(below, batch)
    learns = is_best & alone & ~group_is_uniform(rewards, batch)
    gap = torch.where(learns, best - second, torch.zeros_like(best))
    if std_normalize:
        gap = gap / (group_std(rewards, batch) + eps)
    return to_tokens(gap, batch)
