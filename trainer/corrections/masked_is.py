"""Importance weights of the trainer against the engine, dropped outside a band (IcePop)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.corrections import correction
from trainer.ops.segments import log_engine_ratio


@correction.register(needs=("old_logprobs",), paper="https://ringtech.notion.site/icepop")
def masked_is(
    batch: TokenBatch,
    *,
    low: Annotated[Scheduled, Field(ge=0, description="Smallest ratio that is kept")] = 0.5,
    high: Annotated[Scheduled, Field(gt=0, description="Largest ratio that is kept")] = 5.0,
) -> torch.Tensor:
    """The token's ratio of old policy to engine inside [low, high], and 0 outside.

    A token on which engine and trainer disagree does not learn at all; `truncated_is` keeps it
    with a bounded weight. IcePop, Ling team 2025. A dropped token stays in the loss's divisor.
    Returns importance_weights [T]; zero where `action_mask` is False.
    """
    ratio = log_engine_ratio(batch).exp()
    return ratio * ((ratio >= low) & (ratio <= high) & batch.action_mask)
