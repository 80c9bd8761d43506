"""The geometric mean of a sequence's token ratios, each clipped on its own."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.metrics import Mean
from trainer.ops.segments import log_policy_ratio, seq_mean


@loss.register(
    needs=("old_logprobs",),
    paper="https://arxiv.org/abs/2507.20673",
    tags=("sequence_value", "clip"),
)
def gmpo(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    clip_low: Annotated[
        Scheduled, Field(ge=0, description="Lower bound of a log ratio in nats below 0")
    ] = 0.4,
    clip_high: Annotated[
        Scheduled, Field(ge=0, description="Upper bound of a log ratio in nats")
    ] = 0.4,
) -> LossOutput:
    """Minus the sample's mean advantage times the geometric mean of its clipped token ratios.

    Clips in log space and token by token, where `gspo` clips the mean once; one wild token moves a
    geometric mean little. Zhao et al. 2025. The bounds are nats, not distances from ratio 1.
    Departures: a sample without trained tokens is not counted (`sequence_mean` sees to that).
    Returns values [T], in advantage units, the same on all action tokens of a sample.
    """
    per_token = log_policy_ratio(out, batch)
    bounded = per_token.clamp(-clip_low, clip_high)
    positive = batch.advantages > 0
    kept = torch.where(
        positive, torch.minimum(per_token, bounded), torch.maximum(per_token, bounded)
    )
    ratio = seq_mean(kept, batch, batch.action_mask).exp()
    credit = seq_mean(batch.advantages, batch, batch.action_mask)
    values = (-credit * ratio)[batch.seq_ids] * batch.action_mask
    cut = (kept != per_token).float()
    metrics = {
        "clip_high_frac": Mean.over(cut * positive, batch.train_mask),
        "clip_low_frac": Mean.over(cut * ~positive, batch.train_mask),
    }
    return LossOutput(values=values, metrics=metrics)
