"""Only samples that came to an end by themselves."""

from __future__ import annotations

import torch

from rollout.types import Status
from trainer.batch import TokenBatch
from trainer.masks import mask


@mask.register(paper="https://arxiv.org/abs/2503.14476")
def completed_only(batch: TokenBatch) -> torch.Tensor:
    """Action tokens of samples that were neither cut at a limit nor ended by an error.

    Overlong filtering: a cut sample's reward says nothing of its tokens. It stays in its group's
    statistics, which the `drop_truncated` filter would take it out of. Yu et al. 2025 (DAPO).
    Returns bool [T].
    """
    return batch.action_mask & (batch.status == Status.COMPLETED)[batch.seq_ids]
