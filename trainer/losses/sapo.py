"""A smooth gate instead of a clip."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.metrics import Mean
from trainer.ops.segments import log_policy_ratio


@loss.register(needs=("old_logprobs",), paper="https://arxiv.org/abs/2511.20347", tags=("clip",))
def sapo(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    tau_positive: Annotated[
        Scheduled, Field(gt=0, description="Steepness where the advantage is positive")
    ] = 1.0,
    tau_negative: Annotated[
        Scheduled,
        Field(gt=0, description="Steepness where the advantage is negative; larger fades sooner"),
    ] = 1.05,
) -> LossOutput:
    """Minus the advantage times 4 / tau times the sigmoid of tau (ratio - 1).

    The gradient fades as the ratio leaves 1, where `ppo_clip` cuts it at a bound. At ratio 1 it is
    the policy gradient. Gao et al. 2025 (SAPO). Departure: log ratios are held within +-20.
    Returns values [T], in advantage units.
    """
    ratio = log_policy_ratio(out, batch).exp()
    positive = batch.advantages > 0
    steepness = torch.where(positive, tau_positive, tau_negative)
    gate = torch.sigmoid(steepness * (ratio - 1))
    faded = 1 - 4 * gate.detach() * (1 - gate.detach())  # share of the gradient that is gone
    metrics = {
        "faded_high_frac": Mean.over(faded * positive, batch.train_mask),
        "faded_low_frac": Mean.over(faded * ~positive, batch.train_mask),
    }
    return LossOutput(values=-batch.advantages * 4 / steepness * gate, metrics=metrics)
