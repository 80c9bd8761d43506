"""Group-normalised reward."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Epsilon
from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import group_mean, group_std, to_tokens


@advantage.register(paper="https://arxiv.org/abs/2402.03300", tags=("group_baseline",))
def grpo(
    batch: TokenBatch,
    *,
    std_normalize: Annotated[
        bool, Field(description="Whether to divide by the group's standard deviation (ddof 1)")
    ] = True,
    eps: Annotated[
        Epsilon, Field(gt=0, description="Constant added to the standard deviation")
    ] = 1e-6,
) -> torch.Tensor:
    """Reward minus the group's mean, over the group's standard deviation, on each action token.

    Without `std_normalize` it is Dr. GRPO's advantage (https://arxiv.org/abs/2503.20783); `rloo`
    leaves the sample itself out of the mean. Shao et al. 2024.
    Groups of one, and groups whose rewards are all equal, get zero.
    Returns advantages [T], in standard deviations (reward units without `std_normalize`); zero
    where `action_mask` is False.
    """
    centred = batch.rewards - group_mean(batch.rewards, batch)
    if std_normalize:
        centred = centred / (group_std(batch.rewards, batch) + eps)
    return to_tokens(centred, batch)
