"""Truncated importance weights of the trainer against the engine."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.corrections import correction
from trainer.ops.segments import log_engine_ratio


@correction.register(needs=("old_logprobs",), paper="https://fengyao.notion.site/off-policy-rl")
def truncated_is(
    batch: TokenBatch,
    *,
    cap: Annotated[Scheduled, Field(gt=0, description="Largest weight")] = 2.0,
) -> torch.Tensor:
    """The token's ratio of old policy to engine, at most `cap`.

    Keeps every token with a bounded weight; `masked_is` drops what lies outside its band.
    Yao et al. 2025; the same weight is the truncated ratio of Ionides 2008. Weights carry no
    gradient and do not change the divisor of the loss.
    Returns importance_weights [T]; zero where `action_mask` is False.
    """
    return log_engine_ratio(batch).exp().clamp(max=cap) * batch.action_mask
