"""A trust region on probabilities instead of ratios."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.metrics import Mean
from trainer.ops.segments import log_policy_ratio


@loss.register(needs=("old_logprobs",), paper="https://arxiv.org/abs/2602.04879", tags=("clip",))
def dppo(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    divergence: Annotated[
        Literal["tv", "kl"],
        Field(description="Divergence of the token against the rest: total variation or KL"),
    ] = "tv",
    low: Annotated[
        Scheduled, Field(ge=0, description="Largest divergence of a token that falls")
    ] = 0.2,
    high: Annotated[
        Scheduled, Field(ge=0, description="Largest divergence of a token that rises")
    ] = 0.2,
    cap: Annotated[Scheduled, Field(gt=0, description="Largest ratio as a weight")] = 20.0,
) -> LossOutput:
    """Minus ratio times advantage, silent where the token's probability has moved too far already.

    `ppo_clip` bounds the ratio, which cuts rare tokens that hardly moved and lets common ones move
    far; here the distance is between the two-outcome distributions (this token, any other).
    Qi et al. 2026 (DPPO). The weight is the ratio, held at `cap`. Confidence: rule as in two
    independent implementations; the thresholds differ between them.
    Returns values [T], in advantage units.
    """
    log_ratio = log_policy_ratio(out, batch)
    old = torch.where(batch.action_mask, batch.old_logprobs.float(), 0.0)
    now = log_ratio.detach() + old
    rising = batch.advantages > 0
    moved = torch.where(rising, now > old, now < old)
    # Between the two policies' distributions over (this token, any other token).
    p, q = old.clamp(max=0).exp(), now.clamp(max=0).exp()
    if divergence == "tv":
        distance = (p - q).abs()
    else:
        rest_p, rest_q = (1 - p).clamp(min=1e-7), (1 - q).clamp(min=1e-7)
        distance = p * (old - now) + rest_p * (rest_p / rest_q).log()
    far = distance > torch.where(rising, high, low)
    silent = moved & far
    weight = log_ratio.detach().exp().clamp(max=cap)
    value = weight * (
        1 + log_ratio - log_ratio.detach()
    )  # the weight, with the log-prob's gradient
    metrics = {
        "clip_high_frac": Mean.over((silent & rising).float(), batch.train_mask),
        "clip_low_frac": Mean.over((silent & ~rising).float(), batch.train_mask),
    }
    return LossOutput(values=-batch.advantages * torch.where(silent, 0.0, value), metrics=metrics)
