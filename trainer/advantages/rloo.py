"""Leave-one-out baseline."""

from __future__ import annotations

import torch

from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import group_count, group_mean, to_tokens


@advantage.register(paper="https://arxiv.org/abs/2402.14740", tags=("group_baseline",))
def rloo(batch: TokenBatch) -> torch.Tensor:
    """Reward minus the mean reward of the other samples of its group, on each action token.

    `grpo` without `std_normalize` keeps the sample in its own baseline: this is n / (n - 1) times
    that. Ahmadian et al. 2024. Departure: the published estimator averages a group's samples with
    the coefficient 1 / n; here the reduction weighs them, so a group that lost samples weighs less.
    Groups of one get zero.
    Returns advantages [T], in reward units; zero where `action_mask` is False.
    """
    n = group_count(batch)
    centred = batch.rewards - group_mean(batch.rewards, batch)
    return to_tokens(centred * n / (n - 1).clamp(min=1), batch)
