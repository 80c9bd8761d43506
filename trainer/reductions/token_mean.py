"""Every trained token of the minibatch counts the same."""

from __future__ import annotations

import torch

from trainer.batch import TokenBatch
from trainer.reductions import reduction


@reduction.register(paper="https://arxiv.org/abs/2503.14476", tags=("mean_over_tokens",))
def token_mean(batch: TokenBatch) -> torch.Tensor:
    """One over the number of trained tokens of the minibatch.

    Long samples weigh more than in `sequence_mean`, where each sample weighs the same.
    Yu et al. 2025 (DAPO). All zero where no token is trained.
    Returns loss_weights [T], summing to 1; zero where `train_mask` is False.
    """
    return batch.train_mask / batch.train_mask.sum().clamp(min=1)
