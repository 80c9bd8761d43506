"""Squared error of the critic, clipped around its old values."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean
from trainer.ops.gae import returns
from trainer.terms import term


@term.register(needs=("values",), paper="https://arxiv.org/abs/1707.06347", tags=("critic",))
def value_loss(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    clip: Annotated[
        Scheduled, Field(ge=0, description="Largest change of a value in one step; 0 = unbounded")
    ] = 0.2,
    gamma: Annotated[Scheduled, Field(ge=0, le=1, description="Discount for each token")] = 1.0,
    lam: Annotated[
        Scheduled,
        Field(ge=0, le=1, description="Decay of the target's trace; 1 = Monte Carlo returns"),
    ] = 1.0,
) -> LossOutput:
    """Half the squared distance of the value from the return; the larger of plain and clipped.

    The target's `lam` is its own, apart from the advantage's, which is VC-PPO's decoupling
    (https://arxiv.org/abs/2503.01491); the usual PPO uses the same 0.95 for both. A scalar critic:
    `value_hl_gauss` trains a classifying one. Schulman et al. 2017.
    Tokens that are no actions give 0.
    Returns values [T], in squared reward units.
    """
    assert out.values is not None, "needs=('values',) and the policy has no critic"
    target = returns(batch, gamma=gamma, lam=lam)
    plain = (out.values.float() - target) ** 2
    worst = plain
    if clip:
        near = out.values.float().clamp(batch.values - clip, batch.values + clip)
        worst = torch.maximum(plain, (near - target) ** 2)
    mask = batch.action_mask
    metrics = {
        "value_error": Mean.over(plain, mask),
        "value_clip_frac": Mean.over((worst > plain).float(), mask),
        "return_mean": Mean.over(target, mask),
        "return_square": Mean.over(target**2, mask),
    }
    return LossOutput(values=torch.where(mask, worst / 2, 0.0), metrics=metrics)
