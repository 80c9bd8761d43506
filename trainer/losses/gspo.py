"""One clipped ratio for each sequence."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.ops.segments import clipped_surrogate, log_policy_ratio, seq_mean


@loss.register(
    needs=("old_logprobs",),
    paper="https://arxiv.org/abs/2507.18071",
    tags=("sequence_value", "clip"),
)
def gspo(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    clip_low: Annotated[Scheduled, Field(ge=0, description="Lower bound is 1 - clip_low")] = 3e-4,
    clip_high: Annotated[Scheduled, Field(ge=0, description="Upper bound is 1 + clip_high")] = 4e-4,
) -> LossOutput:
    """The clipped surrogate of a sequence's ratio, the geometric mean of its tokens' ratios.

    `ppo_clip` clips token by token; here a sample learns as a whole or not at all, and the bounds
    are much tighter because a mean of many log ratios is close to 0. Zheng et al. 2025.
    The ratio is over all sampled tokens of the sequence, also where a mask keeps some from
    learning. Give it `sequence_mean`. An empty completion has ratio 1.
    Returns values [T], in advantage units; the same on all tokens of a sample whose advantages are.
    """
    per_token = log_policy_ratio(out, batch)
    ratio = seq_mean(per_token, batch, batch.action_mask).exp()[batch.seq_ids]
    return clipped_surrogate(ratio, batch, low=1 - clip_low, high=1 + clip_high)
