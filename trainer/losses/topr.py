"""Supervised on what went well, truncated importance sampling on what did not."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.metrics import Mean
from trainer.ops.segments import log_policy_ratio, sequence_log_ratio


@loss.register(needs=("old_logprobs",), paper="https://arxiv.org/abs/2503.14286")
def topr(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    cap: Annotated[
        Scheduled, Field(gt=0, description="Largest sequence ratio where the advantage is negative")
    ] = 1.0,
) -> LossOutput:
    """Minus the advantage times the log-prob, weighted by a bounded sequence ratio if negative.

    A wrong sample stops pushing once the policy has left it behind, a right one never does:
    `cispo` bounds both alike. Le Roux et al. 2025 (TOPR). Departures: the ratio is to the
    policy at the start of the step; to the engine's samples add a correction. Confidence: update
    rule from two secondary sources that agree.
    Returns values [T], advantage units times nats.
    """
    ratio = sequence_log_ratio(log_policy_ratio(out, batch).detach(), batch)
    tapered = ratio.clamp(max=math.log(cap)).exp()
    weight = torch.where(batch.advantages < 0, tapered[batch.seq_ids], 1.0)
    logprobs = torch.where(batch.action_mask, out.logprobs.float(), 0.0)
    negative = batch.train_mask & (batch.advantages < 0)
    metrics = {"taper_mean": Mean.over(weight, negative)}
    return LossOutput(values=-weight * batch.advantages * logprobs, metrics=metrics)
