"""The clipped surrogate of PPO, with two bounds and an optional dual clip."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.metrics import Mean
from trainer.ops.segments import log_policy_ratio


@loss.register(needs=("old_logprobs",), paper="https://arxiv.org/abs/1707.06347", tags=("clip",))
def ppo_clip(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    clip_low: Annotated[Scheduled, Field(ge=0, description="Lower bound is 1 - clip_low")] = 0.2,
    clip_high: Annotated[Scheduled, Field(ge=0, description="Upper bound is 1 + clip_high")] = 0.2,
    dual_clip: Annotated[
        Scheduled,
        Field(ge=0, description="Largest ratio where the advantage is negative; 0 = off"),
    ] = 0.0,
) -> LossOutput:
    """The larger of the plain and the clipped surrogate: no gain beyond the trust region.

    Clips each token's ratio; `gspo` clips a sequence's, `cispo` clips but keeps the gradient.
    Schulman et al. 2017; two bounds are clip-higher of DAPO, https://arxiv.org/abs/2503.14476;
    `dual_clip` (Ye et al. 2019, https://arxiv.org/abs/1912.09729) bounds the loss of a token
    with a negative advantage. Departure: log ratios are held within +-20.
    An advantage of 0, and a token that is no action, give 0.
    Returns values [T], in advantage units.
    """
    ratio = log_policy_ratio(out, batch).exp()
    plain = -batch.advantages * ratio
    clipped = -batch.advantages * ratio.clamp(1 - clip_low, 1 + clip_high)
    values = torch.maximum(plain, clipped)
    mask, negative = batch.train_mask, batch.advantages < 0
    metrics = {
        "clip_high_frac": Mean.over(((clipped > plain) & ~negative).float(), mask),
        "clip_low_frac": Mean.over(((clipped > plain) & negative).float(), mask),
    }
    if dual_clip:
        ceiling = -batch.advantages * dual_clip
        metrics["dual_clip_frac"] = Mean.over(((values > ceiling) & negative).float(), mask)
        values = torch.where(negative, torch.minimum(values, ceiling), values)
    return LossOutput(values=values, metrics=metrics)
