"""The sequence's clipped ratio in value, each token's own in gradient."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.ops.segments import clipped_surrogate, log_policy_ratio, seq_mean

LARGEST = 10.0  # nats


@loss.register(needs=("old_logprobs",), paper="https://arxiv.org/abs/2507.18071", tags=("clip",))
def gspo_token(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    clip_low: Annotated[Scheduled, Field(ge=0, description="Lower bound is 1 - clip_low")] = 3e-4,
    clip_high: Annotated[Scheduled, Field(ge=0, description="Upper bound is 1 + clip_high")] = 4e-4,
) -> LossOutput:
    """The surrogate of `gspo`, with a gradient that goes token by token.

    Where all tokens of a sample share one advantage, value and gradient are those of `gspo`; with
    token advantages (`gae`) each token follows its own. Zheng et al. 2025. Departure: the log
    ratio is held at 10 or below. Give it `sequence_mean`.
    Returns values [T], in advantage units.
    """
    per_token = log_policy_ratio(out, batch)
    mean = seq_mean(per_token.detach(), batch, batch.action_mask)[batch.seq_ids]
    ratio = (mean + per_token - per_token.detach()).clamp(max=LARGEST).exp()
    return clipped_surrogate(ratio, batch, low=1 - clip_low, high=1 + clip_high)
