"""The KL from the reference, taken off the reward."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.ops.segments import log_ratio, sequence_log_ratio
from trainer.shaping import shaping


@shaping.register(
    needs=("old_logprobs", "ref_logprobs"), paper="https://arxiv.org/abs/2203.02155", tags=("kl",)
)
def kl_penalty(
    batch: TokenBatch,
    *,
    coef: Annotated[Scheduled, Field(ge=0, description="Penalty in reward units per nat")] = 0.05,
) -> torch.Tensor:
    """Reward minus `coef` times the sum over the sample's tokens of log-prob minus reference.

    The k1 estimate: in the reward its gradient, through the advantage, is exactly that of the
    reverse KL of whole samples; as a term of the loss it would have no expected gradient. Ouyang et
    al. 2022, and RLOO. Departure: one number for the sample, not one a token, so earlier tokens are
    credited with later ones' KL as well. An empty completion pays nothing.
    Returns rewards [S], reward units.
    """
    per_token = log_ratio(batch.old_logprobs, batch.ref_logprobs, batch)
    return batch.rewards - coef * sequence_log_ratio(per_token, batch)
