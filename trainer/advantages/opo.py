"""Length-weighted group baseline."""

from __future__ import annotations

import torch

from trainer.advantages import advantage
from trainer.batch import TokenBatch
from trainer.ops.segments import group_is_uniform, group_sum, seq_count, to_tokens


@advantage.register(paper="https://arxiv.org/abs/2505.23585", tags=("group_baseline",))
def opo(batch: TokenBatch) -> torch.Tensor:
    """Reward minus the group's mean reward weighted by length, on each action token.

    The baseline of least variance when a sample's gradient grows with its length; `grpo` weighs
    the samples of the group equally and may divide by their spread. Hao et al. 2025 (OPO).
    Groups of one, groups whose rewards are all equal, and groups without a token get zero.
    Returns advantages [T], in reward units; zero where `action_mask` is False.
    """
    lengths = seq_count(batch, batch.action_mask).float()
    total = group_sum(lengths, batch)
    baseline = group_sum(lengths * batch.rewards, batch) / total.clamp(min=1)
    silent = group_is_uniform(batch.rewards, batch) | (total == 0)
    centred = torch.where(silent, torch.zeros_like(baseline), batch.rewards - baseline)
    return to_tokens(centred, batch)
