"""Every sample of the minibatch counts the same."""

from __future__ import annotations

import torch

from trainer.batch import TokenBatch
from trainer.ops.segments import seq_count
from trainer.reductions import reduction


@reduction.register(paper="https://arxiv.org/abs/2402.03300")
def sequence_mean(batch: TokenBatch) -> torch.Tensor:
    """Mean over a sample's trained tokens, then over the samples that have any.

    A token of a long sample weighs less than one of a short sample; `token_mean` weighs them
    equally. Shao et al. 2024 (GRPO). Departure: a sample without trained tokens is not counted.
    Returns loss_weights [T], summing to 1; zero where `train_mask` is False.
    """
    counts = seq_count(batch, batch.train_mask)
    samples = (counts > 0).sum().clamp(min=1)
    return batch.train_mask / (counts.clamp(min=1) * samples)[batch.seq_ids]
