"""Maximum likelihood on right answers and, through an implicit policy, on wrong ones."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.metrics import Mean
from trainer.ops.segments import log_policy_ratio

LOWEST_RATE = 0.02  # pass rates are held inside [0.02, 0.98] before they divide


@loss.register(
    needs=("old_logprobs", "pass_rates"),
    paper="https://arxiv.org/abs/2505.18116",
    tags=("sign_free",),
)
def nft(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    weighting: Annotated[
        Literal["uniform", "dr_grpo", "grpo"],
        Field(description="Weight of a problem with pass rate r: 1, 1 - r, or sqrt((1 - r) / r)"),
    ] = "dr_grpo",
    floor: Annotated[
        Scheduled, Field(gt=0, description="Smallest implicit negative ratio that is divided by")
    ] = 1.0,
    negative_weight: Annotated[Scheduled, Field(ge=0, description="Weight of wrong samples")] = 1.0,
) -> LossOutput:
    """Minus the log ratio on right samples; on wrong ones minus the log of the ratio left for them.

    The old policy is a mixture of right and wrong answers, so the wrong part's ratio is
    (1 - r ratio) / (1 - r): no advantage and no clip, unlike `ppo_clip`. Chen et al. 2025 (NFT).
    On-policy the gradient is that of Dr. GRPO (`dr_grpo`) or GRPO (`grpo`). Below `floor` the
    value is held and the gradient goes straight through. Departures: advantages are not read;
    problems that are all right or all wrong give 0 (the authors' code asserts); the reduction is
    the recipe's, not a sum over samples. Use with `drop_uniform`.
    Returns values [T], nats.
    """
    log_ratio = log_policy_ratio(out, batch)
    rate = batch.pass_rates.clamp(LOWEST_RATE, 1 - LOWEST_RATE)
    learns = (batch.pass_rates > 0) & (batch.pass_rates < 1)
    weight = torch.ones_like(rate)
    if weighting == "dr_grpo":
        weight = 1 - rate
    elif weighting == "grpo":
        weight = ((1 - rate) / rate).sqrt()
    weight = torch.where(learns, weight, 0.0)[batch.seq_ids]
    rate, right = rate[batch.seq_ids], batch.correct[batch.seq_ids]
    left = (1 - rate * log_ratio.exp()) / (1 - rate)
    held = left.detach().clamp(min=floor) + (left - left.detach())
    wrong = torch.where(right, torch.ones_like(held), held)  # keeps a log of 0 out of the gradient
    values = torch.where(right, -log_ratio, -negative_weight * wrong.log())
    mask = batch.train_mask & ~right
    metrics = {"held_frac": Mean.over((left < floor).float(), mask)}
    return LossOutput(values=weight * values * batch.action_mask, metrics=metrics)
