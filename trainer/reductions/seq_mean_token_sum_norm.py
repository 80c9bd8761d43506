"""Sum over a sample's tokens divided by a constant, mean over samples."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from recipes.slots.spec import Count
from trainer.batch import TokenBatch
from trainer.ops.segments import seq_count
from trainer.reductions import reduction


@reduction.register(paper="https://arxiv.org/abs/2503.20783")
def seq_mean_token_sum_norm(
    batch: TokenBatch,
    *,
    length: Annotated[
        Count, Field(gt=0, description="Divisor in tokens, usually the longest completion allowed")
    ],
) -> torch.Tensor:
    """One over (samples with trained tokens times a constant length).

    Unlike `sequence_mean` no sample's own length enters, so length is neither favoured nor
    punished. Liu et al. 2025 (Dr. GRPO). Departure: the constant is always explicit; taking the
    widest sample of the batch instead would change the learning rate from step to step.
    Returns loss_weights [T]; zero where `train_mask` is False.
    """
    samples = (seq_count(batch, batch.train_mask) > 0).sum().clamp(min=1)
    return batch.train_mask / (samples * length)
