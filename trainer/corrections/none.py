"""No correction: engine and trainer are taken to agree."""

from __future__ import annotations

import torch

from trainer.batch import TokenBatch
from trainer.corrections import correction


@correction.register(tags=("uncorrected",))
def none(batch: TokenBatch) -> torch.Tensor:
    """Weight 1 on every sampled token.

    Right when the engine is the trainer's own arithmetic; otherwise see `truncated_is`.
    Returns importance_weights [T]; zero where `action_mask` is False.
    """
    return batch.action_mask.float()
