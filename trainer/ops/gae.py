"""Generalised advantage estimation over the sampled tokens, for the actor and for the critic.

Tokens that are no actions (prompt, tool output) are stepped over: they add no temporal difference
and do not decay the trace. The outcome reward sits on a sequence's last action token, after which
the value is 0.
"""

from __future__ import annotations

import torch

from trainer.batch import TokenBatch
from trainer.ops.segments import actions_left, seq_count


def gae_advantages(batch: TokenBatch, *, gamma: float, lam: torch.Tensor) -> torch.Tensor:
    """Exponentially weighted temporal differences of `batch.values` -> [T]; 0 off `action_mask`.

    lam: [S] one trace decay for each sequence, in [0, 1]
    """
    acts, left = batch.action_mask, actions_left(batch)
    rows, columns = batch.seq_ids[acts], left[acts]  # column 0 is the last action
    counts = seq_count(batch, acts)
    width = int(counts.max()) if len(counts) else 0
    critic = batch.values.float()
    values = critic.new_zeros(batch.num_sequences, width).index_put((rows, columns), critic[acts])
    present = torch.zeros_like(values, dtype=torch.bool)
    present[rows, columns] = True
    running = torch.zeros_like(batch.rewards)
    following = torch.zeros_like(batch.rewards)
    result = torch.zeros_like(values)
    for column in range(width):
        reward = batch.rewards if column == 0 else torch.zeros_like(batch.rewards)
        delta = reward + gamma * following - values[:, column]
        running = torch.where(present[:, column], delta + gamma * lam * running, running)
        following = torch.where(present[:, column], values[:, column], following)
        result[:, column] = running
    spread = critic.new_zeros(batch.num_tokens)
    spread[acts] = result[rows, columns]
    return spread


def returns(batch: TokenBatch, *, gamma: float, lam: float) -> torch.Tensor:
    """What the critic should have said: advantage plus value -> [T]; 0 off `action_mask`."""
    decay = torch.full_like(batch.rewards, lam)
    return gae_advantages(batch, gamma=gamma, lam=decay) + batch.values * batch.action_mask
