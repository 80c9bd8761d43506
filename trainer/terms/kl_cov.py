"""Holds back the few tokens that would lower the entropy most."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean, describe_masked
from trainer.ops.covariance import covariance, hash_keys, smallest_k
from trainer.ops.segments import log_policy_ratio
from trainer.terms import term


def held_stats(batch: TokenBatch, *, frac: float) -> torch.Tensor:
    """1 on the tokens of the minibatch with the largest covariance; covariance -> [T, 2]."""
    count = max(int(frac * int(batch.train_mask.sum())), 1)
    product = covariance(batch.current_logprobs, batch)
    held = smallest_k(count, -product, batch.train_mask, hash_keys(batch))
    return torch.stack([held.float(), product.float()], dim=1)


@term.register(
    needs=("old_logprobs",),
    paper="https://arxiv.org/abs/2505.22617",
    tags=("idle_on_first_update",),
    minibatch_stats=held_stats,
)
def kl_cov(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    frac: Annotated[Scheduled, Field(ge=0, le=1, description="Share of the trained tokens")] = 2e-3,
) -> LossOutput:
    """The absolute log ratio to the old policy, on the tokens of the largest covariance only.

    `clip_cov` drops such tokens from the loss, this pulls them back. Cui et al. 2025; with the
    `importance_sampling` loss and `coef: 1` it is the paper's objective. Exactly without effect
    on the first update on fresh samples, where every log ratio is 0: give a step several
    minibatches. At least one token of the whole minibatch is held.
    Returns values [T], nats; zero off the chosen tokens.
    """
    held, product = batch.minibatch_stats.unbind(1)
    distance = log_policy_ratio(out, batch).abs()
    metrics = {
        "kl_cov_distance": Mean.over(distance, held > 0),
        **describe_masked("covariance", product, batch.train_mask),
    }
    return LossOutput(values=torch.where(held > 0, distance, 0.0), metrics=metrics)
