"""Clipped ratios as weights, every token keeps its gradient."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.metrics import Mean
from trainer.ops.segments import log_policy_ratio


@loss.register(needs=("old_logprobs",), paper="https://arxiv.org/abs/2506.13585", tags=("clip",))
def cispo(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    ratio_low: Annotated[Scheduled, Field(ge=0, description="Smallest weight; 0 = no bound")] = 0.0,
    ratio_high: Annotated[Scheduled, Field(gt=0, description="Largest weight")] = 5.0,
) -> LossOutput:
    """Minus the clipped ratio (no gradient), times the advantage, times the log-prob.

    `ppo_clip` silences a token whose ratio left the bounds; here it goes on learning with a
    bounded weight. MiniMax 2025 (CISPO). The bounds are ratios themselves, as in TRL; verl writes
    1 + epsilon. The value is no surrogate of the return, only its gradient means something.
    Returns values [T], advantage units times nats.
    """
    log_ratio = log_policy_ratio(out, batch)
    ratio = log_ratio.detach().exp()
    weight = ratio.clamp(ratio_low, ratio_high)
    logprobs = torch.where(batch.action_mask, out.logprobs.float(), 0.0)
    metrics = {
        "clip_high_frac": Mean.over((ratio > ratio_high).float(), batch.train_mask),
        "clip_low_frac": Mean.over((ratio < ratio_low).float(), batch.train_mask),
    }
    return LossOutput(values=-weight * batch.advantages * logprobs, metrics=metrics)
