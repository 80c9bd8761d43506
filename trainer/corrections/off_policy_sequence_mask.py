"""Drops bad samples that the policy has already moved away from."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.corrections import correction
from trainer.ops.segments import log_engine_ratio, seq_mean, seq_sum


@correction.register(needs=("old_logprobs",), paper="https://arxiv.org/abs/2512.02556")
def off_policy_sequence_mask(
    batch: TokenBatch,
    *,
    threshold: Annotated[
        Scheduled,
        Field(
            ge=0,
            description="Threshold in nats per token on the mean log-prob of engine minus trainer",
        ),
    ] = 0.5,
) -> torch.Tensor:
    """0 on sequences of negative advantage that the engine found much likelier than the trainer.

    Learning from one's own mistakes is useful, from an older policy's it is destabilising;
    samples of positive advantage always stay. `geometric_rejection` looks at neither sign nor
    direction. DeepSeek-V3.2 2025. Departure: the trainer's log-probs are those at the start of
    the step, not of every update. With token advantages the sequence's sum decides the sign.
    Returns importance_weights [T]; zero where `action_mask` is False.
    """
    gap = -seq_mean(log_engine_ratio(batch), batch, batch.action_mask)
    credit = seq_sum(batch.advantages, batch, batch.action_mask)
    dropped = (credit < 0) & (gap > threshold)
    return torch.where(dropped[batch.seq_ids], 0.0, batch.action_mask.float())
