"""SLOT advantage: `(batch) -> advantages [T]`: credit per token."""

from __future__ import annotations

from typing import Protocol

import torch

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch import TokenBatch


class AdvantageEstimator(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> torch.Tensor: ...


advantage: Registry[[TokenBatch], torch.Tensor] = Registry(
    "advantage estimator", params=("batch",), packages=["trainer.advantages"], numbers=number
)
