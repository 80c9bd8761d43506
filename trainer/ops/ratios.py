"""Ratios between two policies on the sampled tokens, safe off the mask and against overflow.

The losses differ in what they do with a ratio, never in how it is formed.
"""

from __future__ import annotations

import torch

from trainer.batch.outputs import PolicyOutput
from trainer.batch.token_batch import TokenBatch
from trainer.ops.segments import seq_sum

LARGEST = 20.0  # nats; exp of it still fits bfloat16 and keeps a sum of squares finite


def log_ratio(
    numerator: torch.Tensor, denominator: torch.Tensor, batch: TokenBatch
) -> torch.Tensor:
    """Difference of two log-probs in nats, in float32 -> [T]; 0 off `action_mask`.

    Held within +-LARGEST, where its gradient is 0. Whatever stands in the other tokens, a NaN
    included, cannot reach the result or its gradient.
    """
    zero = torch.zeros((), device=numerator.device)
    acts = batch.action_mask
    above = torch.where(acts, numerator.float(), zero)
    below = torch.where(acts, denominator.float(), zero)
    return (above - below).clamp(-LARGEST, LARGEST)


def log_policy_ratio(out: PolicyOutput, batch: TokenBatch) -> torch.Tensor:
    """log pi_theta - log pi_old of each sampled token -> [T]; gradient through `out.logprobs`."""
    return log_ratio(out.logprobs, batch.old_logprobs, batch)


def log_engine_ratio(batch: TokenBatch) -> torch.Tensor:
    """log pi_old - log mu of each sampled token -> [T]: trainer against engine, no gradient."""
    return log_ratio(batch.old_logprobs, batch.behavior_logprobs, batch)


def sequence_log_ratio(log_ratios: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """Sum of the log ratios of each sequence's sampled tokens -> [S]."""
    return seq_sum(log_ratios, batch, batch.action_mask)
