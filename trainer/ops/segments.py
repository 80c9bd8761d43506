"""Sums and means over the sequences and groups of a packed batch, and ratios of two policies.

Everything here is a plain function of tensors; `[S]` is per sequence, `[T]` per token. A mask
limits which tokens count; a sequence without any counts as 0, never as NaN. Ratios are safe off
the mask and against overflow: losses differ in what they do with a ratio, never in how it is
formed.
"""

from __future__ import annotations

import torch

from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean

LARGEST = 20.0  # nats; exp of it still fits bfloat16 and keeps a sum of squares finite


def seq_sum(values: torch.Tensor, batch: TokenBatch, mask: torch.Tensor) -> torch.Tensor:
    """Sum of `values` [T] over each sequence's masked tokens -> [S]."""
    kept = torch.where(mask, values, torch.zeros((), dtype=values.dtype, device=values.device))
    zeros = torch.zeros(batch.num_sequences, dtype=values.dtype, device=values.device)
    return zeros.index_add(0, batch.seq_ids, kept)


def seq_count(batch: TokenBatch, mask: torch.Tensor) -> torch.Tensor:
    """Masked tokens of each sequence -> [S] int64."""
    return torch.bincount(batch.seq_ids[mask], minlength=batch.num_sequences)


def seq_mean(values: torch.Tensor, batch: TokenBatch, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` [T] over each sequence's masked tokens -> [S]; 0 where there are none."""
    return seq_sum(values, batch, mask) / seq_count(batch, mask).clamp(min=1)


def actions_left(batch: TokenBatch) -> torch.Tensor:
    """Action tokens of the sequence that come after each token -> [T] int64."""
    acts = batch.action_mask.long()
    totals = seq_count(batch, batch.action_mask)
    before = (totals.cumsum(0) - totals)[batch.seq_ids]  # of the sequences packed earlier
    return totals[batch.seq_ids] - (acts.cumsum(0) - before)


def to_tokens(values: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """Spread `values` [S] over each sequence's action tokens -> [T]; 0 elsewhere."""
    return values[batch.seq_ids] * batch.action_mask


def group_sum(values: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """Sum of `values` [S] over each sequence's group, given to each member -> [S]."""
    _, dense = torch.unique(batch.group_ids, return_inverse=True)
    size = int(dense.max()) + 1 if len(dense) else 0
    sums = torch.zeros(size, dtype=values.dtype, device=values.device).index_add(0, dense, values)
    return sums[dense]


def group_count(batch: TokenBatch) -> torch.Tensor:
    """Number of samples in each sequence's group -> [S] f32."""
    return group_sum(torch.ones_like(batch.rewards), batch)


def group_mean(
    values: torch.Tensor, batch: TokenBatch, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of `values` [S] over each sequence's group, or over the masked of it -> [S].

    A group whose values are all equal gets exactly that value, so differences from the mean are
    exactly zero there, whatever the rounding of a sum would say. A group without any gets 0.
    """
    if mask is None:
        mask = torch.ones_like(values, dtype=torch.bool)
    count = group_sum(mask.to(values.dtype), batch)
    mean = group_sum(torch.where(mask, values, 0.0), batch) / count.clamp(min=1)
    largest = group_max(torch.where(mask, values, -torch.inf), batch)
    smallest = -group_max(torch.where(mask, -values, -torch.inf), batch)
    return torch.where(largest == smallest, largest, mean)


def group_std(
    values: torch.Tensor, batch: TokenBatch, *, ddof: int = 1, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Standard deviation of `values` [S] in each sequence's group, or of the masked of it -> [S].

    0 for a group of one.
    """
    if mask is None:
        mask = torch.ones_like(values, dtype=torch.bool)
    centred = torch.where(mask, values - group_mean(values, batch, mask), 0.0)
    divisor = (group_sum(mask.to(values.dtype), batch) - ddof).clamp(min=1)
    return (group_sum(centred**2, batch) / divisor).sqrt()


def group_max(values: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """Largest of `values` [S] in each sequence's group, given to each member -> [S]."""
    _, dense = torch.unique(batch.group_ids, return_inverse=True)
    size = int(dense.max()) + 1 if len(dense) else 0
    shape = torch.zeros(size, dtype=values.dtype, device=values.device)
    return shape.scatter_reduce(0, dense, values, "amax", include_self=False)[dense]


def group_is_uniform(values: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """True where all of the group's `values` [S] are equal -> [S] bool."""
    return group_max(values, batch) == -group_max(-values, batch)


def whiten(values: torch.Tensor, mask: torch.Tensor, *, eps: float = 1e-8) -> torch.Tensor:
    """Zero mean and unit variance (Bessel) over the masked tokens -> [T]; 0 off the mask."""
    count = int(mask.sum())
    if count == 0:
        return torch.zeros_like(values)
    chosen = values[mask]
    variance = chosen.var(correction=1) if count > 1 else torch.zeros_like(chosen[0])
    return torch.where(mask, (values - chosen.mean()) * (variance + eps).rsqrt(), 0.0)


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


def clipped_surrogate(
    ratio: torch.Tensor, batch: TokenBatch, *, low: float, high: float
) -> LossOutput:
    """The larger of the plain and the clipped loss of each token -> values [T].

    ratio: [T], whatever it is a ratio of; low, high: its bounds. Metrics: the shares of trained
    tokens whose gradient the clip stops, by the sign of their advantage.
    """
    plain = -batch.advantages * ratio
    clipped = -batch.advantages * ratio.clamp(low, high)
    above = (clipped > plain).float()
    positive = batch.advantages > 0
    metrics = {
        "clip_high_frac": Mean.over(above * positive, batch.train_mask),
        "clip_low_frac": Mean.over(above * ~positive, batch.train_mask),
    }
    return LossOutput(values=torch.maximum(plain, clipped), metrics=metrics)


def log_engine_ratio(batch: TokenBatch) -> torch.Tensor:
    """log pi_old - log mu of each sampled token -> [T]: trainer against engine, no gradient."""
    return log_ratio(batch.old_logprobs, batch.behavior_logprobs, batch)


def sequence_log_ratio(log_ratios: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """Sum of the log ratios of each sequence's sampled tokens -> [S]."""
    return seq_sum(log_ratios, batch, batch.action_mask)
