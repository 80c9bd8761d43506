"""Silences a few of the tokens that would lower the entropy most."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.losses.ppo_clip import ppo_clip
from trainer.metrics import Mean, describe_masked
from trainer.ops.covariance import covariance, hash_keys, smallest_k
from trainer.ops.segments import log_ratio


def silenced_stats(
    batch: TokenBatch,
    *,
    frac: float,
    low: float,
    high: float,
    relative: bool,
    clip_low: float,
    clip_high: float,
) -> torch.Tensor:
    """1 on the tokens of the minibatch that do not learn in this update; covariance -> [T, 2]."""
    product = covariance(batch.current_logprobs, batch)
    unit = product[batch.train_mask].abs().mean() if relative else 1.0
    ratio = log_ratio(batch.current_logprobs, batch.old_logprobs, batch).exp()
    above = (batch.advantages > 0) & (ratio > 1 + clip_high)
    below = (batch.advantages < 0) & (ratio < 1 - clip_low)
    among = (product > low * unit) & (product < high * unit) & batch.train_mask & ~above & ~below
    count = max(int(frac * int(batch.train_mask.sum())), 1)
    draw = hash_keys(batch)
    chosen = smallest_k(count, draw, among, draw)
    return torch.stack([chosen.float(), product.float()], dim=1)


@loss.register(
    needs=("old_logprobs",),
    paper="https://arxiv.org/abs/2505.22617",
    tags=("clip",),
    minibatch_stats=silenced_stats,
)
def clip_cov(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    frac: Annotated[Scheduled, Field(ge=0, le=1, description="Share of the trained tokens")] = 2e-4,
    low: Annotated[Scheduled, Field(description="Smallest covariance whose token is masked")] = 1.0,
    high: Annotated[Scheduled, Field(description="Largest covariance whose token is masked")] = 5.0,
    relative: Annotated[
        bool,
        Field(description="Whether `low` and `high` are multiples of the mean absolute covariance"),
    ] = False,
    clip_low: Annotated[Scheduled, Field(ge=0, description="Lower bound is 1 - clip_low")] = 1.0,
    clip_high: Annotated[Scheduled, Field(ge=0, description="Upper bound is 1 + clip_high")] = 1.0,
) -> LossOutput:
    """`ppo_clip` with 0 on a few tokens, drawn among those of high covariance.

    The tokens whose log-prob moves with their advantage are what lowers the entropy; `kl_cov`
    holds them back, this drops them. Cui et al. 2025. The band assumes standardised advantages
    and long samples; on a small model use `relative`. Departures: the draw is a hash of sample and
    position, so that it repeats; it sees the whole minibatch. At least one token of the band is
    silenced; an empty band silences none. Silenced tokens stay in the divisor.
    Returns values [T], in advantage units.
    """
    plain = ppo_clip(out, batch, clip_low=clip_low, clip_high=clip_high)
    silent = batch.minibatch_stats[:, 0] > 0
    mask = batch.train_mask
    metrics = {
        **plain.metrics,
        "silenced_frac": Mean.over(silent.float(), mask),
        **describe_masked("covariance", batch.minibatch_stats[:, 1], mask),
    }
    return LossOutput(values=torch.where(silent, 0.0, plain.values), metrics=metrics)
