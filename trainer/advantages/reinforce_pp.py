"""Reward whitened over the whole step."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import actions_left, group_mean, to_tokens, whiten


@advantage.register(paper="https://arxiv.org/abs/2501.03262")
def reinforce_pp(
    batch: TokenBatch,
    *,
    with_baseline: Annotated[
        bool, Field(description="Whether to subtract the group's mean before whitening")
    ] = False,
    gamma: Annotated[
        Scheduled, Field(ge=0, le=1, description="Discount for each action token to the end")
    ] = 1.0,
) -> torch.Tensor:
    """Discounted reward, brought to zero mean and unit variance over all action tokens of the step.

    Needs no group, unlike `grpo`, whose scale is each group's own. Hu et al. 2025 (REINFORCE++).
    Departures: the published KL token reward is the `kl_penalty` shaping here. The statistics are
    over tokens, so long samples dominate them. A step whose values are all equal gets zero; with
    `with_baseline` so does a group of one, which is its own mean.
    Returns advantages [T], in standard deviations; zero where `action_mask` is False.
    """
    rewards = batch.rewards
    if with_baseline:
        rewards = rewards - group_mean(rewards, batch)
    values = to_tokens(rewards, batch) * gamma ** actions_left(batch)
    return whiten(values, batch.action_mask)
