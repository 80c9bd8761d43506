"""SLOT correction: `(batch) -> importance_weights [T]`, for the gap between engine and trainer."""

from __future__ import annotations

from typing import Protocol

import torch

from recipes.slots.registry import Registry
from recipes.slots.schedules import number
from trainer.batch import TokenBatch


class CorrectionFunction(Protocol):
    """Pure: reads the batch, writes nothing, returns a new tensor."""

    def __call__(self, batch: TokenBatch) -> torch.Tensor: ...


correction: Registry[[TokenBatch], torch.Tensor] = Registry(
    "correction", params=("batch",), packages=["trainer.corrections"], numbers=number
)
