"""Drops the sequences on which engine and trainer disagree on average."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Scheduled
from trainer.batch import TokenBatch
from trainer.corrections import correction
from trainer.ops.segments import log_engine_ratio, seq_mean


@correction.register(needs=("old_logprobs",), paper="https://fengyao.notion.site/off-policy-rl")
def geometric_rejection(
    batch: TokenBatch,
    *,
    low: Annotated[Scheduled, Field(ge=0, description="Smallest mean ratio that is kept")] = 0.99,
    high: Annotated[Scheduled, Field(gt=0, description="Largest mean ratio that is kept")] = 1.01,
) -> torch.Tensor:
    """1 on sequences whose geometric mean of the token ratios is inside [low, high], else 0.

    A gate that does not depend on length and does not weigh; `masked_is` gates token by token,
    `sequence_is` weighs by the product. A mean over many tokens is close to 1, so the band is
    tight. Dropped tokens stay in the loss's divisor.
    Returns importance_weights [T]; zero where `action_mask` is False.
    """
    ratio = seq_mean(log_engine_ratio(batch), batch, batch.action_mask).exp()
    kept = (ratio >= low) & (ratio <= high)
    return (kept[batch.seq_ids] & batch.action_mask).float()
