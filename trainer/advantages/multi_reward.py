"""Several rewards, each normalised in its group before they are added (GDPO)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from trainer.advantages import advantage
from trainer.batch.token_batch import TokenBatch
from trainer.ops.components import component
from trainer.ops.segments import group_mean, group_std, to_tokens


@advantage.register(paper="https://arxiv.org/abs/2601.05242", tags=("group_baseline",))
def multi_reward(
    batch: TokenBatch,
    *,
    weights: Annotated[
        dict[str, float], Field(min_length=1, description="weight of each component of the reward")
    ],
    eps: Annotated[float, Field(gt=0, description="added to each standard deviation")] = 1e-6,
) -> torch.Tensor:
    """The weighted sum of group-normalised reward components, standardised over the step's samples.

    `grpo` normalises the sum, in which the component with the largest spread drowns the others.
    GDPO 2026; the same as TRL's `normalize_then_sum`. A component that does not vary in a group
    adds zero there; a step in which nothing varies gets zero.
    Returns advantages [T], in standard
    deviations; zero where `action_mask` is False.
    """
    total = torch.zeros_like(batch.rewards)
    for name, weight in weights.items():
        values = component(batch, name)
        centred = values - group_mean(values, batch)
        total = total + weight * centred / (group_std(values, batch) + eps)
    spread = total.std() if len(total) > 1 else torch.zeros(())
    return to_tokens((total - total.mean()) / (spread + eps), batch)
